-- prometheus.rules: what the server is told to compute and to warn about (GET /api/v1/rules).
local catalogue = require "catalogue"

local prometheus_rules = {}

local PATH = "/api/v1/rules"

local function rule_of(one, group)
  return { name = one.name, kind = one.type, query = one.query, group = group.name, file = group.file,
           seconds = one.duration, state = one.state, health = one.health, why = one.lastError ~= "" and one.lastError or nil,
           labels = one.labels or {}, annotations = one.annotations or {} }
end

-- Adds the entry; `prometheus` is what the family's requests share (stdlib/effects/prometheus.lua).
function prometheus_rules.add(prometheus)
  catalogue.effect("prometheus.rules", {
    summary = "The rules that the server evaluates, alerting and recording",
    class = "read",
    instrument = prometheus.name,
    params = { { "name", "string", "Only rules of this name", optional = true } },
    options = { url = prometheus.url_option },
    result = {
      rules = "list: { name, kind (alerting recording), query, group, file, seconds (pending before it fires), state "
        .. "(inactive pending firing), health (ok err unknown), why, labels, annotations }, in the server's order",
      count = "integer: rules in the list", unhealthy = "integer: how many could not be evaluated",
      warnings = prometheus.warnings, partial = prometheus.partial,
    },
    run = prometheus.answered(function() return PATH, {} end, function(data, call)
      local rules, unhealthy = {}, 0
      for _, group in ipairs(prometheus.expect(data.groups, "table", "groups")) do
        local list = prometheus.expect(group, "table", "a group").rules
        for _, one in ipairs(prometheus.expect(list, "table", "a group's rules")) do
          if not call.name or prometheus.expect(one, "table", "a rule").name == call.name then
            rules[#rules + 1] = rule_of(prometheus.expect(one, "table", "a rule"), group)
            if one.health == "err" then unhealthy = unhealthy + 1 end
          end
        end
      end
      return { rules = rules, count = #rules, unhealthy = unhealthy }
    end),
    command = function(call) return prometheus.curl(call, PATH, {}) end,
    target = prometheus.target,
    specimen = { rules = {}, count = 0, unhealthy = 0 },
    sum_up = function(fields)
      if not fields.count then return nil end
      local sick = fields.unhealthy > 0 and (", %d of them could not be evaluated"):format(fields.unhealthy) or ""
      return prometheus.with_partial(("%d rules%s"):format(fields.count, sick), fields)
    end,
  })
end

return prometheus_rules
