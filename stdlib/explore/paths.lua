-- Every way through something that asks which way to go: carried out again and again, each time by the choices of before and one
-- more. The same thing must ask the same when it is answered the same.
local paths = {}
paths.__index = paths

-- More ways than this, or more choices on one, are not walked: what comes of it is no proof.
paths.WAYS_MAX = 200000
paths.CHOICES_MAX = 400

-- `budget`: how much the arms of one way may cost in all; nil: as much as they will.
function paths.new(budget) return setmetatable({ choices = {}, at = 0, ways = 0, budget = budget or math.huge }, paths) end

-- One way alone: by choices that were taken().
function paths.of(taken)
  local self = paths.new()
  for i, choice in ipairs(taken) do
    self.choices[i] = { label = choice.label, arms = choice.arms, costs = choice.costs, arm = choice.number }
  end
  return self
end

local function spent(self, upto)
  local sum = 0
  for i = 1, upto do
    local choice = self.choices[i]
    sum = sum + (choice.costs and choice.costs[choice.arm] or 0)
  end
  return sum
end

-- The next arm after `arm` that can be paid for; nil when there is none.
local function next_arm(self, choice, arm, left)
  for i = arm + 1, #choice.arms do
    if not choice.costs or (choice.costs[i] or 0) <= left then return i end
    self.pruned = true -- a way that was left out for what it costs
  end
end

-- Which of `arms` (names) is taken here, as its number. `label`: what is chosen; `costs`: of each arm, 0 when left out.
function paths:choose(label, arms, costs)
  self.at = self.at + 1
  if self.at > paths.CHOICES_MAX then
    self.at = self.at - 1 -- nothing is chosen here
    self.endless(label)
  end
  local choice = self.choices[self.at]
  if not choice then
    choice = { label = label, arms = arms, costs = costs, state = self.meet and self:meet(label, arms) }
    choice.arm = next_arm(self, choice, 0, self.budget - spent(self, self.at - 1)) or 1
    self.choices[self.at] = choice
  end
  assert(choice.label == label, "explore: the same choices led to another question")
  return choice.arm
end

-- Takes the last choice that has another arm to it; false when all ways were walked.
local function advance(self)
  while #self.choices > 0 do
    local last = self.choices[#self.choices]
    local arm = next_arm(self, last, last.arm, self.budget - spent(self, #self.choices - 1))
    if arm then
      self.choices[#self.choices] = { label = last.label, arms = last.arms, costs = last.costs, arm = arm, state = last.state }
      return true
    end
    self.choices[#self.choices] = nil
  end
  return false
end

-- Ways that meet are gone on once: where the next choice is made in a state that `state_of(label, arms)` has told before, the way
-- ends by `met(number)`. That number stands with the choice that was made there first. nil for a state that is like no other.
function paths:merge(state_of, met)
  local known, count = {}, 0
  function self.meet(_, label, arms)
    local key = state_of(label, arms)
    if key and known[key] then
      self.at = self.at - 1 -- nothing is chosen here
      met(known[key])
    end
    count = count + 1
    if key then known[key] = count end
    return count
  end
end

-- The choices of the way that was just walked: a list of { label =, arm = its name, cost =, number = of the arm, arms =,
-- costs = of all, state = the number of the state it is made in, where ways are merged }.
function paths:taken()
  local list = {}
  for i = 1, self.at do
    local choice = self.choices[i]
    list[i] = { label = choice.label, arm = choice.arms[choice.arm], cost = choice.costs and choice.costs[choice.arm] or 0,
                number = choice.arm, arms = choice.arms, costs = choice.costs, state = choice.state }
  end
  return list
end

-- Calls walk() for every way, and then on_way(what it returned). True when all were walked.
function paths:each(walk, on_way)
  repeat
    self.at, self.ways = 0, self.ways + 1
    local ended = walk()
    for i = #self.choices, self.at + 1, -1 do self.choices[i] = nil end
    on_way(ended)
    if self.ways >= paths.WAYS_MAX then return not advance(self) end
  until not advance(self)
  return true
end

return paths
