-- story.lua: each check once as it last was, in the order in which it matters: luahost tests/stdlib/story_test.lua
local finding = require "finding"
local story = require "story"

local function equal(got, wanted, what)
  assert(got == wanted, ("%s: %s expected, got %s"):format(what, tostring(wanted), tostring(got)))
end

-- One look of a probe: checks are { label, passed, detail, fault =, line = }.
local function look(probe, args, state, ...)
  story.learn("probe.started", { probe = probe, args = args })
  for _, it in ipairs { ... } do
    local check = { probe = probe, args = args, label = it[1], passed = it[2], detail = it[3], fault = it.fault, line = it.line,
                    figure = it.figure }
    check.says = finding.says(check)
    story.learn("check", check)
  end
  story.learn("probe.ended", { probe = probe, args = args, state = state or "known", why = state and "no permission" })
end

local function found() return table.concat(story.findings(), "\n") end

-- Three of a kind are one line; a figure keeps its own.
look("Health", nil, nil, { "/health", false, "connection refused" }, { "/health/ready", false, "connection refused" },
  { "/metrics", false, "HTTP 500" }, { "/health/live", false, "connection refused" })
equal(found(), "Health: not so: /health, /health/ready, /health/live: connection refused\n"
  .. "Health: not so: /metrics: HTTP 500", "of a kind")
equal(#story.wrong()[1].labels, 3, "the labels one by one")

-- What passed since is gone; what a later look doesn't reach any more, too, unless the look broke off.
look("Health", nil, nil, { "/health", true }, { "/health/ready", false, "connection refused" })
equal(found(), "Health: not so: /health/ready: connection refused", "as it last was")
look("Health", nil, "unknown", { "/health", true })
equal(found(), "Health: not so: /health/ready: connection refused\nHealth: not known: no permission", "a look that broke off")
look("Health", nil, nil, { "/health", true })
equal(found(), "", "all is well")

-- Looks of one probe at several things are told apart, and are one line when they say the same.
look("Unit", "web-1", nil, { "it runs", false, "inactive" })
look("Unit", "web-2", nil, { "it runs", false, "failed" })
equal(found(), "Unit (web-1): not so: it runs: inactive\nUnit (web-2): not so: it runs: failed", "two instances")
look("Unit", "web-2", nil, { "it runs", false, "inactive" })
equal(found(), "Unit (web-1, web-2): not so: it runs: inactive", "two instances that say the same")
for i = 3, 8 do look("Unit", "web-" .. i, nil, { "it runs", false, "inactive" }) end
equal(found(), "Unit (web-1, web-2, web-3, web-4, web-5 and 3 more): not so: it runs: inactive", "many are counted")
for i = 1, 8 do look("Unit", "web-" .. i, nil, { "it runs", true }) end

-- One label in a loop: each that failed is told, none hidden by one that passed; the next look is a new one.
look("Pods", nil, nil, { "it is ready", false, "web-1" }, { "it is ready", true, "web-2" }, { "it is ready", false, "web-3" },
  { "it is ready", false, "web-3" })
equal(found(), "Pods: not so: it is ready: web-1, web-3", "a loop")
look("Pods", nil, nil, { "it is ready", true, "web-1" })

-- Faults first, the alert's own symptom last.
look("API", nil, nil, { "it answers", false, "refused", line = "http.get /health", fault = "down" }, { "no errors", false, "12" },
  { "memory", false, nil, figure = { value = 105, comparison = "<", limit = 90, unit = "%" }, fault = "full" })
story.learn("effect.outcome", { key = "goal:1", line = "http.get /health" })
equal(found(), "API: memory 105 %, should be < 90 %\nAPI: not so: no errors: 12\nAPI: not so: it answers: refused", "the order")
equal(story.headline "API Down", "API Down: memory 105 %, should be < 90 %; not so: no errors: 12; 1 more", "the headline")

-- What says the same as the symptom is part of it.
look("API", nil, nil, { "/health/ready", false, "refused", fault = "down" },
  { "/health", false, "refused", line = "http.get /health", fault = "down" },
  { "memory", false, nil, figure = { value = 105, comparison = "<", limit = 90, unit = "%" } })
equal(found(), "API: memory 105 %, should be < 90 %\nAPI: not so: /health/ready, /health: refused", "the symptom's kind")

look("Cache", nil, nil, { "memory", true, nil, figure = { value = 62, comparison = "<", limit = 90, unit = "%" } })
equal(table.concat(story.well_words(), " · ", #story.well()), "memory 62 %", "what is well, in short")

story.learn("question", { text = "Apply “Restart”?" })
equal(story.waits, "Apply “Restart”?", "an open question")
story.learn("answer", { text = "Apply “Restart”?" })
equal(story.waits, nil, "and an answered one")
print "story: well"
