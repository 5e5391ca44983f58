-- What the words of the language take and give: the words themselves, `runbook check` and the editor's definition files read it
-- here.
--
-- A word: { takes = { { name, type }, … } in order ("name?" may be left out), options = the fields of the table among them, gives,
-- help, most = how many arguments at most, unless it takes any number }. An option: { type, help, one_of = }. Types: those of
-- effects' arguments (stdlib/catalogue.lua), and "function", "table".
local vocabulary = {}

local risks = { "low", "medium", "high" }
local severities = { "critical", "error", "warning", "info" }

local times = {
  within = { "duration", "How long to wait" }, every = { "duration", "How long between two looks" },
  holds = { "duration", "How long it has to hold, instead of three looks in a row" },
}
local question = { within = { "duration", "How long it waits for an answer; 5m unless said" } }

local function with(options, more)
  for name, option in pairs(options) do more[name] = more[name] or option end
  return more
end

vocabulary.words = {
  runbook = { help = "Who this runbook is: the first statement", takes = { { "about", "table" } }, options = {
    title = { "string", "What people call it" }, alert = { "string", "The alert that it is for" },
    severity = { "string", "How bad it is", one_of = severities }, condition = { "string", "When the alert fires" },
    impact = { "string", "What it means for those who use the service" },
    related = { "table", "Runbooks that an unresolved run names at its end" } } },
  params = { help = "What can be set from outside; a table to read it from", gives = "table<string, any>",
             takes = { { "declared", "table" } } },
  secret = { help = "A secret of that name: it prints as ***", takes = { { "name", "string" } }, gives = "string" },
  recovered = { help = "The goal: when it holds, the run is resolved", options = times,
                takes = { { "label", "string" }, { "options?", "table" }, { "fn", "function" } } },
  wait_until = { help = "Looks until it is so; false when the time is over", options = times, gives = "boolean",
                 takes = { { "label", "string" }, { "options?", "table" }, { "fn", "function" } } },
  escalation = { help = "Arms a level: whom to tell when it isn't over after so long",
                 takes = { { "after", "duration" }, { "fn?", "function" } } },
  probe = { help = "A part that looks; called, it gives its findings", gives = "fun(...: any): table<string, any>",
            takes = { { "title", "string" }, { "fn", "function" } } },
  check = { help = "One observation; true when it is well. With its figure: check(what, value, \"<\", limit, options)",
            gives = "boolean", most = 5, takes = { { "label", "string" }, { "value", "any" }, { "...", "any" } }, options = {
    fault = { "string", "The finding that is true when it fails" }, unit = { "string", "What the figure is counted in" },
    detail = { "any", "What is said beside it" }, mend = { "string", "Of a prevention: a text that closes the gap" } } },
  remedy = { help = "A part that changes something; called, true when it was applied", gives = "fun(...: any): boolean?",
             takes = { { "title", "string" }, { "options?", "table" }, { "fn", "function" } }, options = {
    risk = { "string", "How bad it can be; low unless said", one_of = risks },
    warning = { "string", "What stands in the question" }, why = { "string", "Why it is asked for, instead of the findings" },
    undo = { "function", "What takes it back, with the same arguments" },
    temporary = { "boolean", "It is scaffolding: its undo is asked about at the end" },
    within = { "duration", "How long to wait for the goal afterwards" } } },
  prevention = { help = "What would keep it from happening again: is it in place?",
                 takes = { { "title", "string" }, { "fn", "function" } } },
  together = { help = "Probes or functions side by side; their results in order", gives = "any ...", takes = { { "...", "any" } } },
  handover = { help = "Goes on with another runbook as a part of this run", gives = "string",
               takes = { { "runbook", "string" }, { "params?", "table" } } },
  confirm = { help = "Asks yes or no; without an answer no", gives = "boolean",
              takes = { { "question", "string" }, { "options?", "table" } },
              options = with(question, { default = { "boolean", "What holds without an answer" } }) },
  choose = { help = "Asks for one of several", gives = "any",
             takes = { { "question", "string" }, { "choices", "table" }, { "options?", "table" } },
             options = with(question, { default = { "any", "What holds without an answer" } }) },
  ask = { help = "Asks for a text", gives = "string?", takes = { { "question", "string" }, { "options?", "table" } },
          options = with(question, { default = { "string", "What holds without an answer" } }) },
  note = { help = "Into the journal and the report", takes = { { "text", "any" } } },
  resolved = { help = "How the script ends: return resolved \"…\"", gives = "table", takes = { { "text", "string" } } },
  unresolved = { help = "How the script ends: return unresolved \"…\"", gives = "table", takes = { { "text", "string" } } },
}

-- What a parameter may say beside its default and its help.
vocabulary.param = {
  type = { "string", "duration, time, size, string, number, boolean or list, where the default doesn't tell",
           one_of = { "duration", "time", "size", "string", "number", "boolean", "list" } },
  one_of = { "table", "The values it may have" }, pattern = { "string", "A regular expression that the whole value matches" },
  required = { "boolean", "It must be given" }, secret = { "boolean", "It may not come from the command line" },
}

-- Options as the words check them: name → what type() says of its value.
function vocabulary.types(options)
  local types = {}
  for name, option in pairs(options) do types[name] = option[1] == "duration" and "string" or option[1] end
  return types
end

-- A list as a set.
function vocabulary.set(list)
  local set = {}
  for _, value in ipairs(list) do set[value] = true end
  return set
end

return vocabulary
