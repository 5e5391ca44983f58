-- plan.lua: how old a preview may be, and what counts as growth. luahost tests/stdlib/plan_test.lua
local approval = require "approval"
local plan = require "plan"

local function equal(found, wanted, what)
  if found ~= wanted then error(("%s: %s expected, got %s"):format(what, tostring(wanted), tostring(found)), 2) end
end

local size, looks, impossible, asked, answer
local mode = { preview = function()
  looks = looks + 1
  return { text = size .. " keys", size = size, impossible = impossible, look = looks }
end }

local entry = { name = "x.write", params = {}, options = {}, in_line = {} }
local pinned = { name = "x.end", params = {}, options = {}, in_line = {}, pins = function(it) return it.look end }

function approval.ask_one(_, act, text, beyond)
  asked = { text = text, size = act.preview.size, beyond = beyond }
  return answer
end

local function act_of(of) return { entry = of, call = {}, class = "write", line = of.name, match = of.name } end

-- A plan of one write that hits `count`, looked at `ago` seconds ago.
local function planned(of, count, ago)
  size, looks, impossible, asked, answer = count, 0, nil, nil, false
  local made, act = plan.new { title = "Fix" }, act_of(of)
  plan.foresee(act, mode)
  made:add(act)
  for _, it in ipairs { made, act } do it.seen = { now = it.seen.now - ago, wall = it.seen.wall } end
  return made, act
end

local function renew(made, entry_planned) return made:renew(entry_planned, act_of(entry_planned.entry), mode) end

-------------------------------------------------------------- Before a write --

local made, act = planned(entry, 5, 29)
size = 50
equal(renew(made, act), nil, "a young preview counts")
equal(looks, 1, "it is not made anew")

made, act = planned(entry, 5, 31)
equal(renew(made, act), nil, "an old one that still holds")
equal(looks, 2, "it is made anew")
equal(act.preview.look, 1, "what was approved is what goes")

made, act = planned(entry, 5, 31)
size = 4
equal(renew(made, act), nil, "less than was approved")
equal(asked, nil, "nobody is asked for less")

made, act = planned(entry, 5, 31)
size = 6
equal(renew(made, act), "it hits more than was approved", "more, and nobody said yes")
equal(asked.size, 6, "the question shows what it hits now")
assert(asked.text:find "hits more than was approved" and not asked.beyond, asked.text)

made, act = planned(entry, 5, 31)
size, answer = 6, true
equal(renew(made, act), nil, "more, and a person said yes")
equal(act.preview.size, 6, "then that is what goes")

made, act = planned(entry, 5, 31)
size = math.huge
equal(renew(made, act), "it hits more than was approved", "what nobody can see any more is more")

made, act = planned(entry, 5, 31)
impossible = "it is gone"
equal(renew(made, act), "it is gone", "what can't be done any more is not tried")

made, act = planned(pinned, 5, 31)
size = 50
equal(renew(made, act), nil, "pinned targets never count as growth")
equal(looks, 1, "and need no second look")
equal(made:renew(nil, act_of(entry), mode), nil, "what is beyond the plan was asked for just now")

-- A laptop slept: the one clock stood still.
made, act = planned(entry, 5, 0)
act.seen.wall = act.seen.wall - 3600
size = 6
equal(renew(made, act), "it hits more than was approved", "the lid was closed in between")

------------------------------------------------------------- At the approval --

local function covers(of, before, after)
  local old, first = planned(of, before, 31)
  local new, second = planned(of, after, 0)
  first.preview.whose, second.preview.whose = "approved", "new"
  return old:covers_plan(new), second.preview.whose
end

equal(covers(entry, 5, 5), true, "the same")
equal(select(2, covers(entry, 5, 5)), "approved", "what was approved is what goes")
equal(covers(entry, 5, 6), false, "it has grown")
equal(covers(pinned, 5, 6), true, "pinned targets never count as growth")
equal(select(2, covers(pinned, 5, 6)), "approved", "those that were listed go")
equal(covers(entry, math.huge, math.huge), true, "as unknown as it was")

print "plan: well"
