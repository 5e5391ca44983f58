-- plan.lua: only what was approved. What differs from the plan in any way is not in it. luahost tests/stdlib/plan_covers_test.lua
local plan = require "plan"
local tasks = require "tasks"
local values = require "values"

local function equal(found, wanted, what)
  if found ~= wanted then error(("%s: %s expected, got %s"):format(what, tostring(wanted), tostring(found)), 2) end
end

local function entry_of(name, more)
  local entry = { name = name, family = name:match "^%l+", params = {}, options = {}, in_line = {} }
  for key, value in pairs(more or {}) do entry[key] = value end
  return entry
end

local write, other = entry_of "x.write", entry_of "x.other"
local function act_of(entry, call, more)
  local act = { entry = entry, call = call, class = "write", line = entry.name, match = entry.name }
  for key, value in pairs(more or {}) do act[key] = value end
  return act
end

local function plan_of(...)
  local made = plan.new { title = "Fix" }
  for _, act in ipairs { ... } do
    act.preview, act.seen = act.preview or { text = "", size = 1 }, { now = tasks.now(), wall = tasks.wall() }
    made:add(act)
  end
  return made
end

-------------------------------------------------------------------- Taking --

local secret, another = values.secret("TOKEN", "s3cret-of-ours"), values.secret("OTHER", "another-secret")
local approved = { target = "a", list = { "x", "y" }, headers = { A = "1" }, token = secret }

local function with(changes)
  local call = { target = "a", list = { "x", "y" }, headers = { A = "1" }, token = secret }
  for key, value in pairs(changes) do call[key] = value ~= "none" and value or nil end
  return call
end

equal(plan_of(act_of(write, approved)):take(act_of(write, with {})) ~= nil, true, "the same is in it")
for what, changes in pairs {
  ["another target"] = { target = "b" }, ["an argument more"] = { force = true }, ["an argument less"] = { headers = "none" },
  ["a longer list"] = { list = { "x", "y", "z" } }, ["a shorter list"] = { list = { "x" } },
  ["another order"] = { list = { "y", "x" } },
  ["a header more"] = { headers = { A = "1", B = "2" } }, ["another header"] = { headers = { A = "2" } },
  ["another secret"] = { token = another }, ["a plain text for a secret"] = { token = "s3cret-of-ours" },
  ["another type"] = { target = 1 }, ["a table for a text"] = { target = { "a" } }, ["another machine"] = { on = "db" },
  ["a placeholder"] = { target = values.placeholder "id" },
} do
  equal(plan_of(act_of(write, approved)):take(act_of(write, with(changes))), nil, what)
end
equal(plan_of(act_of(write, approved)):take(act_of(other, with {})), nil, "another effect")
equal(plan_of(act_of(write, { list = {} })):take(act_of(write, { list = values.placeholder "id" })), nil,
  "a placeholder for a list")

local twice = plan_of(act_of(write, approved), act_of(write, with { target = "b" }))
equal(twice:take(act_of(write, with { target = "b" })) ~= nil, true, "in another order")
equal(twice:take(act_of(write, with {})) ~= nil, true, "the other one")
equal(twice:take(act_of(write, with {})), nil, "each once")
local double = plan_of(act_of(write, approved), act_of(write, approved))
equal(double:take(act_of(write, with {})) ~= nil and double:take(act_of(write, with {})) ~= nil, true, "approved twice")
equal(double:take(act_of(write, with {})), nil, "and not three times")

------------------------------------------------------- A plan made anew --

local function covers(mine, theirs) return plan_of(table.unpack(mine)):covers_plan(plan_of(table.unpack(theirs))) end
local function sized(size, call, entry)
  return act_of(entry or write, call or { target = "a" }, { preview = { text = "", size = size } })
end

equal(covers({ sized(5) }, { sized(5) }), true, "the same size")
equal(covers({ sized(5) }, { sized(4) }), true, "a smaller one")
equal(covers({ sized(5) }, { sized(6) }), false, "a larger one")
equal(covers({ sized(5) }, { sized(5), sized(1) }), false, "a write more")
equal(covers({ sized(5), sized(1) }, { sized(5) }), false, "a write less")
equal(covers({ sized(5) }, { sized(5, { target = "b" }) }), false, "another target")
equal(covers({ sized(5) }, { sized(5, { target = "a", force = true }) }), false, "an argument more")
equal(covers({ sized(5) }, { sized(5, nil, other) }), false, "another effect")
equal(covers({ sized(5), sized(1, { target = "b" }) }, { sized(1, { target = "b" }), sized(5) }), false, "another order")
local pinned = entry_of("x.end", { pins = function() return {} end })
equal(covers({ sized(5, nil, pinned) }, { sized(9, nil, pinned) }), true, "what is pinned can't grow")

-------------------------------------------------------- What it is called --

local function class(name, more) return act_of(write, { target = "a" }, { class = name, preview = more }) end

local function level(risk, ...)
  local made = plan.new { title = "Fix", risk = risk }
  for _, act in ipairs { ... } do made:add(act) end
  return made:level()
end

equal(level("low", class "write"), "low", "its remedy's")
equal(level(nil, class "write"), "low", "low without one")
equal(level("medium", class "write", class "destructive"), "high", "destructive is high")
equal(level("low", class("write", { text = "", size = 1, loses = true })), "high", "what loses is high")
equal(select(2, level("high", class "destructive")), nil, "nothing to be said where it was high before")
for granted, wanted in pairs { low = "low", medium = "low", high = "low" } do equal(plan.covers(granted, wanted), true, granted) end
equal(plan.covers("low", "medium") or plan.covers("medium", "high") or plan.covers("low", "high"), false, "no leave for more")
equal(plan.covers(nil, "low"), false, "no leave at all")

local function aimed(name, at) return act_of(entry_of("x.aim", { target = function() return at end }), {}, { class = name }) end
equal(plan_of(aimed("write", "harmless"), aimed("destructive", "db1")):target(), "db1", "the destructive write's target is typed")
equal(plan_of(aimed("destructive", "db1"), aimed("write", "harmless")):target(), "db1", "wherever it stands")
equal(plan_of(aimed("write", "first"), aimed("write", "second")):target(), "first", "else the first")
equal(plan_of(class "write"):target(), "Fix", "without a target the title")

local told = plan_of(class "write", class "notify", class "destructive")
equal(#told:writes(), 2, "to tell somebody is no write")
equal(#told.entries, 3, "and stands in the plan all the same")

local needs = { name = "here", why = "it is this machine" }
local asked, rows = plan_of(act_of(write, { target = "a" }, { needs = needs }), class "write"):needs()
equal(asked, needs, "the leave that is needed")
equal(#rows, 1, "for which writes")
equal(plan_of(class "write"):needs(), nil, "none is needed")

------------------------------------------------------------------- Too many --

local many = plan.new { title = "Fix" }
for _ = 1, plan.EFFECTS_MAX do many:count() end
equal(many.broken, nil, "as many as a plan may have")
equal(pcall(many.count, many), false, "one more is no plan")
equal(many.broken ~= nil, true, "and it stays broken, whoever catches the error")

print "plan covers: well"
