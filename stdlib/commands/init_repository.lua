-- The files of a repository of runbooks: an example with its scenarios, the config, and what editors, hooks and CI read.
local luals = require "commands.effects_luals"

local init_repository = {}

local RUNBOOK = [==[
-- Service down: an example to begin with. The parameters say what it is about; a live run takes them from the
-- config beside it.
--
--   runbook run runbooks/service-down.lua --dry-run     looks for real, changes nothing

runbook {
  title     = "Service down",
  alert     = "ServiceDown",
  severity  = "critical",
  condition = 'probe_success{job="service"} == 0 for 1m',
  impact    = "Nobody can use the service",
}

local p = params {
  url     = { "https://service.example.com/health", "Answers 200 when the service is well" },
  unit    = { "service", "Its unit of systemd" },
  machine = { "", "Machine it runs on, as the config names it; empty is this one" },
}

recovered("the service answers", { within = "2m", every = "5s" }, function() return http.get(p.url).ok end)

escalation("15m", function(run)
  escalate.page { summary = run.headline, severity = run.severity, details = run.findings }
end)

------------------------------------------------------------------ Diagnosis --

local health = probe("Health", function()
  check("it answers", http.get(p.url), { fault = "down" })
end)

local process = probe("Process", function()
  local unit = service.status(p.unit, { on = p.machine })
  check("its unit", unit.state, "==", "active", { fault = "stopped" })
  note(service.logs(p.unit, { on = p.machine, tail = 20 }))
end)

----------------------------------------------------------------- Resolution --

local restart = remedy("Restart the service", { risk = "low", warning = "requests under way fail" }, function()
  service.restart(p.unit, { on = p.machine })
end)

--------------------------------------------------------------- The decision --

local answer = health()
if answer.down == false then return resolved "false alarm: the service answers" end

process()
if answer.down == nil then return unresolved "whether the service answers is not known" end
if not restart() then return unresolved "the service does not answer, and was not restarted" end

return unresolved "the service does not answer, and a restart did not bring it back"
]==]

local SCENARIOS = [==[
-- Service down, rehearsed: runbook test runbooks

local REFUSED = { error = { kind = "refused", message = "connection refused" } }

world {
  ["http.get *"] = REFUSED,
  ["service.status *"] = { state = "failed" },
}

scenario "false alarm" {
  given  = { ["http.get *"] = { status = 200 } },
  expect = { outcome = "resolved", does = {}, pages = 0 },
}

scenario "a restart brings it back" {
  answers = { ["Restart the service"] = "yes" },
  after   = { ["service.restart *"] = { ["http.get *"] = { status = 200 } } },
  expect  = { outcome = "resolved", does = { "service.restart service" }, pages = 0 },
}

scenario "a restart does not help" {
  answers = { ["Restart the service"] = "yes" },
  expect  = { outcome = "unresolved", does = { "service.restart service" }, pages = 1 },
}

scenario "the restart fails" {
  answers = { ["Restart the service"] = "yes" },
  after   = { ["service.restart *"] = { reply = { why = "exit status 1" } } },
  expect  = { outcome = "unresolved", pages = 1 },
}

scenario "nobody wants it" {
  answers = { ["Restart the service"] = "no" },
  expect  = { outcome = "unresolved", does = {}, pages = 1 },
}

scenario "it runs and does not answer, and nobody is there" {
  given  = { ["service.status *"] = { state = "active" } },
  expect = { outcome = "unresolved", does = {}, pages = 1 },
}

scenario "it can't be looked at" {
  given  = { ["http.get *"] = { error = { kind = "dns", message = "no such name" } },
             ["service.status *"] = { error = "permission denied" } },
  expect = { outcome = "unresolved", does = {}, pages = 1 },
}
]==]

local CONFIG = [==[
-- Whom to page and where things are; `runbook` finds it from any folder below. spec/cli.md has every key. A
-- secret is the environment variable of its name, unless `secrets` says where else it comes from.
return {
  -- pager    = { "pagerduty", routing_key = secret "PAGERDUTY_KEY" },
  -- chat     = { "slack", token = secret "SLACK_TOKEN" },
  -- contacts = { "on-call: +49 30 1234567" },
  -- machines = { service1 = { ssh = "ops@service1.example.com", sudo = true } },
  approvals = { high = "type" }, -- type the target's name instead of yes
  environments = {
    production = {
      default = true,
      params  = { url = "https://service.example.com/health" },
    },
  },
}
]==]

local README = [==[
# Runbooks

`runbook` runs them. Each is a Lua script in `runbooks/`, with its scenarios beside it in `NAME.test.lua`.

```sh
runbook test runbooks                                  # carries out the scenarios
runbook check runbooks/*.lua                           # what is wrong, without running it
runbook doc runbooks/service-down.lua                  # the page that people read
runbook run runbooks/service-down.lua --dry-run        # looks for real, changes nothing
runbook run runbooks/service-down.lua                  # works the incident
runbook list                                           # which runbook is for which alert?
runbook init --alert RULES.yml NAME                    # one more, for an alert of Prometheus
runbook coverage runbooks --rules RULES.yml            # alerts without a runbook
```

Before the first incident: fill in `runbook.config.lua`, and let `runbook doctor runbooks/service-down.lua`
say what is missing.

| file | for |
| --- | --- |
| `runbook.config.lua` | whom to page, machines, environments |
| `.luarc.json`, `definitions/` | lua-language-server: completes and checks words and effects |
| `.vscode/` | tasks for `check` and `test`, whose findings stand in the text |
| `.pre-commit-config.yaml` | both before every commit |
| `.github/workflows/runbooks.yml`, `.gitlab-ci.yml` | both for every change |
| `CODEOWNERS` | who has to agree to a change |

CI needs an image that has `runbook`: its name is the variable `RUNBOOK_IMAGE`. After an update of `runbook`
the editor's definitions are made anew: `runbook effects --format luals > definitions/runbook.lua`.
]==]

local LUARC = [==[
{
  "runtime.version": "Lua 5.4",
  "runtime.path": ["?.lua", "runbooks/?.lua"],
  "runtime.builtin": { "debug": "disable", "ffi": "disable", "io": "disable", "os": "disable", "package": "disable" },
  "workspace.library": ["definitions"],
  "workspace.checkThirdParty": false,
  "diagnostics.libraryFiles": "Disable"
}
]==]

local SETTINGS = [==[
{
  "files.trimTrailingWhitespace": true,
  "[lua]": { "editor.tabSize": 2, "editor.insertSpaces": true }
}
]==]

local TASKS = [==[
{
  "version": "2.0.0",
  "tasks": [
    {
      "label": "runbook check",
      "type": "shell",
      "command": "runbook check runbooks/*.lua",
      "group": "build",
      "problemMatcher": {
        "owner": "runbook",
        "fileLocation": ["relative", "${workspaceFolder}"],
        "pattern": {
          "regexp": "^(.+?):(\\d+):(\\d+): (.*) \\[([a-z-]+)\\]$",
          "file": 1, "line": 2, "column": 3, "message": 4, "code": 5
        }
      }
    },
    {
      "label": "runbook test",
      "type": "shell",
      "command": "runbook test runbooks",
      "group": { "kind": "test", "isDefault": true },
      "problemMatcher": []
    }
  ]
}
]==]

local PRE_COMMIT = [==[
repos:
  - repo: local
    hooks:
      - id: runbook-check
        name: runbook check
        entry: runbook check
        language: system
        files: ^runbooks/.*\.lua$
      - id: runbook-test
        name: runbook test
        entry: runbook test runbooks
        language: system
        pass_filenames: false
        files: ^runbooks/.*\.lua$
]==]

local GITHUB = [==[
name: runbooks
on:
  push:
  pull_request:
permissions:
  contents: read
jobs:
  runbooks:
    runs-on: ubuntu-latest
    container: ${{ vars.RUNBOOK_IMAGE }} # an image that has runbook
    steps:
      - uses: actions/checkout@v4
      - run: runbook check --format github runbooks/*.lua
      - run: runbook test runbooks
]==]

local GITLAB = [==[
runbooks:
  image: $RUNBOOK_IMAGE # one that has runbook
  script:
    - runbook test --format junit runbooks > junit.xml
    - runbook check --format gitlab runbooks/*.lua > quality.json
  artifacts:
    when: always
    reports:
      junit: junit.xml
      codequality: quality.json
]==]

local CODEOWNERS = [==[
# Who has to agree to a change of what is run at three in the morning.
/runbooks/ @your-organisation/on-call
/runbook.config.lua @your-organisation/on-call
]==]

-- { path =, text = } each, below the repository's folder.
function init_repository.files()
  return {
    { path = "README.md", text = README },
    { path = "runbook.config.lua", text = CONFIG },
    { path = "runbooks/service-down.lua", text = RUNBOOK },
    { path = "runbooks/service-down.test.lua", text = SCENARIOS },
    { path = "definitions/runbook.lua", text = luals.text() .. "\n" },
    { path = ".luarc.json", text = LUARC },
    { path = ".vscode/settings.json", text = SETTINGS },
    { path = ".vscode/tasks.json", text = TASKS },
    { path = ".pre-commit-config.yaml", text = PRE_COMMIT },
    { path = ".github/workflows/runbooks.yml", text = GITHUB },
    { path = ".gitlab-ci.yml", text = GITLAB },
    { path = "CODEOWNERS", text = CODEOWNERS },
  }
end

return init_repository
