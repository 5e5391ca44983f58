-- runbook run FILE: the run itself, as a table of contents. runbook audit FILE and runbook doctor FILE: the same up to the
-- script's first effect, then its preventions (stdlib/audit.lua) in the dry mode, or what it needs (stdlib/doctor.lua).
local blame = require "blame"
local closing = require "closing"
local config = require "config"
local duration = require "duration"
local ending = require "ending"
local gate = require "gate"
local given = require "given"
local journal = require "journal"
local json = require "raw.json"
local raw_run = require "raw.run"
local raw_task = require "raw.task"
local raw_text = require "raw.text"
local run = require "run"
local screen = require "screen"
local script = require "script"
local secrets = require "secrets"
local tasks = require "tasks"
local values = require "values"

local function usage(text, ...) error({ usage = text:format(...) }, 0) end

-------------------------------------------------------------- Preparation --

local function open_config(options, host)
  local folder = script.split(run.file)
  if folder:sub(1, 1) ~= "/" then folder = host.folder .. "/" .. folder end
  if options.scenario then
    run.config, run.config_text = {}, nil
  else
    run.config, run.config_path, run.config_text = config.find(folder, host.getenv)
  end
  local environment
  environment, run.environment = config.environment(run.config, options.env)
  config.apply(run.config, environment, options, options.scenario and function() end or host.getenv)
  run.given_params = given.params(options)
  if run.scenario then
    table.insert(run.given_params, { name = "scenario in " .. run.scenario.at, values = run.scenario.params or {} })
  end
  table.insert(run.given_params, { name = "config", values = environment.params or {}, shared = true })
  run.first_given = run.given_params
end

-- A trial (stdlib/trial.lua) brings the scenario of a file that was read before, at `options.trial.wall`.
local function open_scenario(options)
  local trial, why = options.trial, nil
  run.scenario = trial and trial.scenario
  if not trial then run.scenario, why = require("scenario_file").pick(options.scenario) end
  if not run.scenario then usage("%s", why) end
  raw_task.virtual(trial and trial.wall or tasks.wall())
  secrets.pretend = true
  require("settings").host_name = "here"
  require("settings").any_machine = true
end

-- What makes this run less than careful stands in its first line.
local function careless(options)
  local list = {}
  if options.yes then list[#list + 1] = "--yes " .. options.yes end
  if options.answers then list[#list + 1] = "--answers " .. options.answers end
  if next(require("settings").hosts) then list[#list + 1] = "hosts (real names go to other addresses)" end
  list[#list + 1] = require("settings").here_by
  for _, level in ipairs { "low", "medium", "high" } do
    if (run.config.approvals or {})[level] == "auto" then list[#list + 1] = ("approvals.%s = auto (config)"):format(level) end
  end
  if options.alongside then list[#list + 1] = "--alongside" end
  return #list > 0 and table.concat(list, ", ") or nil
end

local function mode_name(options)
  if run.command == "doctor" then return "doctor" end
  return options.scenario and "scenario" or options.dry_run and "dry" or "live"
end

-- Makes the run directory and opens its journal; raises why not.
local function make_directory(dry)
  local _, base = script.split(run.file)
  local made, err = raw_run.create { title_slug = base:gsub("%.lua$", ""), dry = dry }
  if not made then error({ refused = "no run directory: " .. err.message }, 0) end
  run.id, run.path, run.in_memory = made.id, made.path, made.warning
  if made.warning then screen.say(made.warning) end
  local ok, problem = journal.open(made.path .. "/journal.jsonl")
  if not ok then error({ refused = "no journal: " .. problem.message }, 0) end
end

-- The run directory and the first event. Scenarios leave nothing behind; a doctor goes on without and says so.
local function open_journal(options, host)
  local name = mode_name(options)
  if name == "doctor" then
    local made, why = pcall(make_directory, true)
    run.homeless = not made and (why.refused or error(why, 0)) or nil
  elseif name ~= "scenario" then
    make_directory(name == "dry")
  end
  if name == "live" or name == "dry" then require("report").open() end
  run.seed = name == "scenario" and 1 or string.unpack("<i8", raw_run.random(8))
  blame.on_defect = function(text) journal.event("defect", { text = text }) end
  journal.event("run.started", { file = run.file, mode = name, id = run.id, environment = run.environment,
    version = host.version, careless = careless(options), config = run.config_path, seed = run.seed,
    host = run.host, user = run.user, uid = run.uid, alert_began = raw_text.time_text(run.alert_wall),
    command_line = require("origin").command_line(host.command_line) })
end

local function keep_manifest(options, carried_out)
  -- before params{…} nobody knows which of them are secret, and what runs from here never reaches it
  local known = run.param_specs ~= nil
  script.kept(raw_run.replace("source/manifest.json", json.encode(require("raw.secret").mask(script.manifest {
    file = run.file, title = run.about.title, environment = run.environment, params = known and options.param or nil,
    params_given = known and run.given_params or nil, here = options.here, require_approval = options.require_approval,
    host = run.host, user = run.user, alert_wall = run.alert_wall, carried_out = carried_out, folder = run.folder,
    config_path = run.config_path, config_sha256 = run.config_text and raw_run.sha256(run.config_text) or run.config_sha256,
    about = (known or run.acted) and require("lock").about() or nil }))))
end

-- What is loaded later, as a runbook that is handed over to, is part of the run from then on.
local function keep_sources(options, carried_out)
  if not run.path then return end
  if run.config_text then script.kept(raw_run.keep("source/config.lua", run.config_text)) end
  keep_manifest(options, carried_out)
  function run.on_source() keep_manifest(options, carried_out) end
end

local function open_mode(options)
  local name = mode_name(options)
  local mode = require("modes." .. name)
  if mode.open then mode.open(run.scenario) end
  gate.open(mode)
  return mode
end

-- What audits and doctors do instead of a run; both are dry, and a doctor runs nothing on the author's word.
local looks = { audit = "true", doctor = "strict" }

------------------------------------------------------------------ The run --

-- It was resumed often enough: what stands at that place ends this program every time.
local function give_up()
  tasks.raise_end { outcome = "suspended", pages = true, text = "it was interrupted again and again at the same place; "
    .. "nothing was done since (runbook resume --force goes on all the same)" }
end

-- Levels are armed when the script first acts: by then it has declared them all.
local function arm_levels(options, mode)
  if options.scenario then
    mode.arm(run.levels, require("words.escalation").carry_out)
  elseif not options.dry_run then
    require("consent").check_possible()
    require("lock").take()
    require("arming").arm(function(carried_out) keep_sources(options, carried_out) end)
    if not require("settings").here then require("here").tell() end
    local frozen = require("freeze").now()
    if frozen then journal.event("freeze", { by = frozen.by, why = frozen.why, text = require("freeze").text(frozen) }) end
    tasks.spawn(require("remarks").listen)
    if run.hopeless then give_up() end
  end
end

local function execute(options, host)
  local mode = gate.mode()
  local arming = not options.scenario and not options.dry_run and require "arming"
  if arming then arming.start(host) end
  run.on_first_act = function() arm_levels(options, mode) end
  require("sandbox").seal() -- this and the next while the watchdog starts
  local chunk = script.load(run.file, script.words())
  if arming then arming.ready() end
  local in_time, value = tasks.deadline(mode.SECONDS_MAX or math.huge, chunk)
  if not in_time then
    error({ wrong = ("more than %s on the scenario's clock: this would never end"):format(duration.text(mode.SECONDS_MAX)) }, 0)
  end
  if not run.acted then run.acting() end
  if mode.finish then mode.finish() end
  return ending.of_return(value)
end

-- Clocks of two machines differ by this much, in seconds; what began later than that is a slip.
local CLOCKS_DIFFER = 300

local function alert_moment(text)
  local at, why = require("helpers").time.parse(text)
  if not at then usage("--alert-started: %s", why) end
  if at > tasks.wall() + CLOCKS_DIFFER then usage("--alert-started: %s lies in the future", text) end
  return math.min(at, tasks.wall())
end

local function prepare(options, host)
  run.options, run.config = options, {}
  if not host.folder and run.file:sub(1, 1) ~= "/" then
    usage("the current folder is gone or can't be told: go to another, or give the whole path of %s", run.file)
  end
  script.expect_file(run.file)
  if options.scenario then open_scenario(options) end
  run.start()
  run.folder, journal.began = host.folder, run.began
  run.host, run.user = require("origin").host(options), require("origin").user(host.getenv, host.uid)
  run.uid, run.starter = host.uid, host.uid
  open_config(options, host)
  require("consent").read_option(options)
  if options.answers then screen.answers(given.answers(options.answers)) end
  if options.alert_started then run.count_from(alert_moment(options.alert_started)) end
  if run.command == "doctor" then secrets.missed = {} end
  options.no_color = host.getenv "NO_COLOR" and host.getenv "NO_COLOR" ~= ""
  options.plain = host.getenv "TERM" == "dumb"
  screen.open(options)
  open_mode(options)
  open_journal(options, host)
end

local prepare_as = {}
function prepare_as.resume(options, host) require("resumption").prepare(run.file, options, host, careless) end

-- The end: whoever sits there is asked about what was put up for the incident alone, and the watchdog is told how it ended.
-- Of a resolved run first the one and then the other: what is taken back may have been the cure. Else the page goes out first.
local function close(it)
  local owed = #run.owed > 0 and require "owed"
  local asks = owed and owed.is_open(it)
  if asks and it.outcome == "resolved" then
    owed.put_off()
    it = owed.take_down(it)
    asks = false
  end
  local settled = (gate.mode().settle or require("arming").settle)(it)
  if asks then it = owed.take_down(it) end
  if gate.mode().save_evidence then pcall(require("aftermath").collect, it) end
  return it, settled
end

-- What the operator reads before the last line.
local function last_words(it, settled)
  local preventions = #run.preventions > 0 and require("audit").afterwards(it) or nil
  local lines = closing.mistakes()
  local more = closing.lines(it, settled, preventions)
  return table.move(more, 1, #more, #lines + 1, lines)
end

-- What is wrong with the scenario, or with the run by its light, as lines and a worse exit code.
local function compare(it, code)
  if not run.scenario then return code end
  it.exit = code
  local verdict = require "scenario_verdict"
  if not run.options.trial then return verdict.tell(run.scenario, it, gate.mode(), code) end
  return run.options.trial.judge(verdict.of(run.scenario, it, gate.mode(), code), gate.mode())
end

-- How the run ended, whatever became of it.
local function carry_out(options, host)
  local ok, it = pcall(looks[run.command] and require(run.command).carry_out or execute, options, host)
  if ok then return it end
  it = ending.of_error(it)
  if it.outcome ~= "resolved" and it.outcome ~= "suspended" and it.outcome ~= "aborted" then
    screen.complain(it.text)
  end
  return it
end

-- A resume that can't go on leaves the run as it was: watched, and to be gone on with.
local function leave_open(it)
  if run.generation == 1 or not (it.outcome == "refused" or it.outcome == "usage" or it.unloaded) then return it end
  it.exit, it.outcome, it.left_open = ending.exit(it), "suspended", true
  return it
end

-- What a run that is over keeps: not what was held for a full disk; of one that never began, nothing.
local function tidy(it)
  if not run.path then return end
  if it.outcome ~= "suspended" and it.outcome ~= "aborted" then require("open_question").withdraw() end
  if it.outcome == "usage" and not run.acted then raw_run.discard() else raw_run.free_reserve() end
end

return function(arguments, options, host, command)
  run.file, run.command = arguments[1], command
  options.dry_run = looks[command] or options.dry_run
  local prepared, problem = pcall(prepare_as[command] or prepare, options, host)
  if not prepared then
    local it = ending.of_error(problem)
    screen.complain(it.text)
    return ending.exit(it)
  end
  local it = leave_open(carry_out(options, host))
  tasks.shield()
  if gate.mode().write then journal.event("run.ending", { outcome = it.outcome }) end
  local settled
  it, settled = close(it)
  it.owed = #run.owed > 0 and require("owed").list() or nil
  run.left = gate.mode().write and require("left").list() or {}
  local code = compare(it, ending.write(it, last_words(it, settled)))
  if run.path then require("report").write() end
  local close_machines = require("settings").close_machines
  if close_machines then close_machines() end
  tidy(it)
  return code
end
