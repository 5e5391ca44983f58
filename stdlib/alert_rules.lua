-- Alerting rules: out of Prometheus' rule files and the operator's PrometheusRule objects, or of a server that evaluates them.
--
-- A rule: { alert =, expr =, lasts = "5m" or nil, labels =, annotations =, at = "FILE:LINE" or the file that the server names }.
local catalogue = require "catalogue"
local duration = require "duration"
local files = require "raw.files"

local alert_rules = {}

-- A rule file is this long at most, in bytes; so many of them are looked at in a folder.
local SIZE_MAX, FILES_MAX = 8 << 20, 1000
-- The longest that a server may take, in seconds.
local TIMEOUT = "30s"

-- Labels and annotations are texts; what is none is no Prometheus' to take.
local function texts(map)
  local copy = {}
  for name, value in pairs(type(map) == "table" and map or {}) do
    if type(name) == "string" and type(value) == "string" then copy[name] = value end
  end
  return copy
end

local function add(list, path, rule)
  if type(rule) ~= "table" or type(rule.alert) ~= "string" then return end
  list[#list + 1] = { alert = rule.alert, expr = rule.expr, lasts = rule["for"], labels = texts(rule.labels),
                      annotations = texts(rule.annotations), at = ("%s:%d"):format(path, rule[0]) }
end

-- The groups of a document: of a rule file, or of a PrometheusRule; nil when it is neither.
local function groups_of(document)
  if type(document) ~= "table" then return nil end
  local spec = document.kind == "PrometheusRule" and document.spec or document
  return type(spec) == "table" and type(spec.groups) == "table" and spec.groups or nil
end

local function read_document(list, path, document)
  local groups = groups_of(document)
  if not groups then return "groups: of rules expected, as promtool check rules has them" end
  for _, group in ipairs(groups) do
    local rules = type(group) == "table" and group.rules
    for _, rule in ipairs(type(rules) == "table" and rules or {}) do
      if type(rule) == "table" and rule.alert and type(rule.expr) ~= "string" then
        return ("line %d: the alert %s has no expr"):format(rule[0], tostring(rule.alert))
      end
      add(list, path, rule)
    end
  end
end

local function read_file(list, path)
  local read, err = files.read { path = path, max = SIZE_MAX }
  if not read then return err.message end
  if read.cut then return ("%s: it is longer than %d bytes"):format(path, SIZE_MAX) end
  local documents, problem = require("raw.yaml").decode(read.text)
  if not documents then return ("%s: %s"):format(path, problem.message) end
  for _, document in ipairs(documents) do
    local why = read_document(list, path, document)
    if why then return ("%s: %s"):format(path, why) end
  end
end

-- The files of a folder that may hold rules, by their names.
local function below(folder)
  local paths = {}
  for _, name in ipairs { "*.yml", "*.yaml" } do
    local walked, err = files.walk { under = folder, name = name, max = FILES_MAX }
    if not walked then return nil, err.message end
    if walked.cut then return nil, ("%s: more than %d files"):format(folder, FILES_MAX) end
    if walked.errors.count > 0 then return nil, walked.errors.first end
    for _, file in ipairs(walked.files) do paths[#paths + 1] = file.path end
  end
  table.sort(paths)
  return paths
end

-- The alerting rules of files and folders of them, in their order; nil and why one can't be read.
function alert_rules.of_files(given)
  local list = {}
  for _, path in ipairs(given) do
    local stat = files.stat(path)
    local paths, why = { path }, nil
    if stat and stat.state == "directory" then paths, why = below(path) end
    if not paths then return nil, why end
    for _, one in ipairs(paths) do
      why = read_file(list, one)
      if why then return nil, why end
    end
  end
  return list
end

-- Those that a server evaluates; nil and why they can't be had. Of a part of its stores no gap could be told from a rule that
-- is elsewhere.
function alert_rules.of_server(url)
  local entry = catalogue.family("prometheus").rules
  local ok, fields, err = pcall(function() return entry.run(catalogue.call(entry, { url = url, timeout = TIMEOUT })) end)
  if not ok then return nil, tostring(fields) end
  if not fields then return nil, err.message end
  if fields.partial then return nil, "only a part of its stores answered" end
  local list = {}
  for _, it in ipairs(fields.rules) do
    if it.kind == "alerting" then
      list[#list + 1] = { alert = it.name, expr = it.query, lasts = (it.seconds or 0) > 0 and duration.text(it.seconds) or nil,
                          labels = texts(it.labels), annotations = texts(it.annotations), at = it.file or "the server" }
    end
  end
  return list
end

return alert_rules
