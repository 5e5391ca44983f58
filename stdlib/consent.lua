-- Whose yes counts, and how many it takes: one function for every entrance by which an answer comes.
local asking = require "asking"
local plan = require "plan"
local run = require "run"
local settings = require "settings"

local consent = {}

-- So many people at most can be needed for one approval.
consent.PEOPLE_MAX = 10

-- Where an answer can come from. `person`: somebody who sees the question says it now; `meant`: it was written beforehand, for this
-- very question.
local entrances = {
  terminal = { person = true },  -- typed where the run asks
  word = { person = true },      -- runbook approve, deny, answer: another process
  title = { meant = true },      -- the question's exact title in the file of --answers
  pattern = {},                  -- a pattern there
  catch_all = {},                -- "*" there
  yes = {},                      -- --yes LEVEL
  config = {},                   -- approvals.LEVEL = "auto"
}
consent.entrances = entrances

local decides = { approve = true, confirm = true }

-- Whether the question takes yes or no.
function consent.decides(question) return decides[question.kind] == true end

-- What the config says for a level: auto, ask or type.
function consent.policy(level)
  local given = run.config and run.config.approvals and run.config.approvals[level]
  return given or "ask"
end

-- How many people must say yes to a plan of this level, 0 when nobody asked for a number.
function consent.needed(level)
  local given = run.config and run.config.require_approval or 0
  if type(given) == "table" then given = given[level] or 0 end
  return math.max(given, run.options.require_approval or 0, run.config.starter_may_approve == false and 1 or 0)
end

-- The number of --require-approval; `kept`: of the run that is gone on with, which no later command line makes less.
function consent.read_option(options, kept)
  local text = options.require_approval
  local number = text == nil and 0 or math.tointeger(tonumber(text))
  if not number or number < 0 or number > consent.PEOPLE_MAX then
    error({ usage = ("--require-approval %s: a number of people from 0 to %d expected"):format(text, consent.PEOPLE_MAX) }, 0)
  end
  options.require_approval = math.max(number, kept or 0)
end

-- How many others than who started the run the most demanding approval takes.
function consent.others()
  local most = math.max(consent.needed "low", consent.needed "medium", consent.needed "high")
  return run.config.starter_may_approve == false and most or most - 1
end

-- A run that nobody could approve is refused before it begins.
function consent.check_possible()
  if consent.others() < 1 then return end
  local folder = settings.shared_dir
  local why = folder and require("replies").unsafe(folder) or not folder and "the config names no shared_dir"
  if why then error({ refused = "others must approve, and nobody else could: " .. why }, 0) end
end

-- Whether who started the run is none of them.
local function is_starter(who) return run.config.starter_may_approve == false and who.uid == run.starter end

local refusals = {}

function refusals.yes(question)
  if question.kind ~= "approve" then return "--yes is for remedies" end
  if not plan.covers(run.options.yes, question.level) then return "--yes does not cover the level " .. question.level end
end

function refusals.config(question)
  if question.kind ~= "approve" then return "approvals are for remedies" end
  if consent.policy(question.level) ~= "auto" then return "the config asks at the level " .. question.level end
end

function refusals.catch_all(question)
  if asking.is_high(question) then return "a plan of the level high is not approved by “*”" end
end

-- What nobody could know when it was written beforehand.
local function refusal_beforehand(entrance, question)
  if question.in_person then return "a person alone can say yes" end
  if (question.needed or 0) > 0 then return ("%d people must say yes"):format(question.needed) end
  if not entrances[entrance].meant and (asking.needs_person(question) or question.rest) then
    return "it was written before anybody knew what this one asks"
  end
  return refusals[entrance] and refusals[entrance](question)
end

-- Why a yes to `question` that comes by `entrance` does not count; nil when it does. `who`: { uid =, by = } of a person.
function consent.refusal(entrance, question, who)
  if not entrances[entrance].person then return refusal_beforehand(entrance, question) end
  if question.kind == "approve" and is_starter(who) then return "who started the run may not approve it" end
end

return consent
