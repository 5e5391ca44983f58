-- What people have said to one question so far, and whether that decides it. Each person counts once; one no is a no.
local consent = require "consent"
local journal = require "journal"
local json = require "raw.json"
local open_question = require "open_question"
local replies = require "replies"

local ballot = {}
ballot.__index = ballot

function ballot.new(question)
  return setmetatable({ question = question, hash = open_question.hash(question), said = {}, people = {}, words = json.list {},
                        refused = {} }, ballot)
end

-- How many more must say yes.
function ballot:missing() return math.max(1, self.question.needed or 0) - #self.people end

local function is_yes(self, answer) return consent.decides(self.question) and answer == "yes" end

-- An answer by a person, { uid =, by = }; `name`: of its word. It, by whom, and the names of the words when it decides; else nil
-- and why it does not count, or nothing when more people must say so.
function ballot:take(entrance, answer, who, name)
  if not is_yes(self, answer) then return answer, who.by, name and json.list { name } end
  local why = consent.refusal(entrance, self.question, who)
  if why then return nil, why end
  if self.said[who.uid] then return nil, who.by .. " said yes before" end
  self.said[who.uid] = true
  self.people[#self.people + 1], self.words[#self.words + 1] = who.by, name
  if (self.question.needed or 0) > 1 then
    journal.event("approval.given", { remedy = self.question.label, by = who.by, count = #self.people, of = self.question.needed,
                                      plan = self.hash })
  end
  if self:missing() > 0 then return nil end
  return answer, table.concat(self.people, ", "), self.words
end

-- The answers of other processes, as take gives them. What does not count is said once.
function ballot:look()
  for _, it in ipairs(replies.to(self.question, self.hash)) do
    if not self.refused[it.name] then
      self.refused[it.name] = true
      local answer, by, words = self:take("word", it.answer, it.who, it.name)
      if answer ~= nil then return answer, by, words end
      if by then journal.news("reply.refused", { by = it.who.by, answer = it.answer, why = by }) end
    end
  end
end

return ballot
