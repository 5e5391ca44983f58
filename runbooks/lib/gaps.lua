-- What preventions look for, and the texts that close the gaps: ready to paste, with the names of what was looked at.
local gaps = {}

---------------------------------------------------------------- Prometheus --

-- Of rules that may be meant, so many are named, with so many characters of what they ask.
local CANDIDATES_MAX, QUERY_MAX = 3, 80

-- An expression's end for a metric that is 1 while its server is up.
gaps.is_down = [[ *(== *0|<=? *0|< *1|!= *1)]]

-- Does Prometheus (config: prometheus.url) warn about this? `expression` is what such an alerting rule is recognised by,
-- `about` what any rule on the matter holds. False, and the rules that may be meant: there are more ways to write an alert
-- than we know, and nobody should add what they have.
function gaps.alerts_on(expression, about)
  local candidates = {}
  for _, rule in ipairs(prometheus.rules().rules) do
    local counts = rule.kind == "alerting" and rule.health ~= "err"
    if counts and re.find(rule.query, expression) then return true end
    if counts and about and #candidates < CANDIDATES_MAX and re.find(rule.query, about) then
      candidates[#candidates + 1] = ("%s (%s)"):format(rule.name, rule.query:gsub("%s+", " "):sub(1, QUERY_MAX))
    end
  end
  if #candidates == 0 then return false end
  return false, "not recognised, have a look: " .. table.concat(candidates, ", ")
end

-- Does Prometheus hold such series now?
function gaps.is_recorded(selector) return (prometheus.query("count(" .. selector .. ")").value or 0) > 0 end

function gaps.rule(it)
  return ([[
groups:
  - name: %s
    rules:
      - alert: %s
        expr: '%s'
        for: %s
        labels: { severity: %s }
]]):format(it.group, it.alert, it.expr, it.wait or "5m", it.severity or "warning")
end

-- A job for an exporter: `name`, and `target`, where it listens.
function gaps.job(name, target)
  return ([[
scrape_configs:
  - job_name: %s
    static_configs: [ { targets: [ "%s" ] } ]
]]):format(name, target)
end

-- CPU and memory of the containers of a cluster, as its nodes tell them.
gaps.cluster_job = [[
scrape_configs:
  - job_name: cadvisor
    scheme: https
    metrics_path: /metrics/cadvisor
    authorization: { credentials_file: /var/run/secrets/kubernetes.io/serviceaccount/token }
    tls_config: { ca_file: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt }
    kubernetes_sd_configs: [ { role: node } ]
]]

-- A job that looks at addresses from outside, by the blackbox exporter.
function gaps.outside_job(name, urls)
  return ([[
scrape_configs:
  - job_name: %s
    metrics_path: /probe
    params: { module: [ http_2xx ] }
    static_configs: [ { targets: [ "%s" ] } ]
    relabel_configs:
      - { source_labels: [ __address__ ], target_label: __param_target }
      - { source_labels: [ __param_target ], target_label: instance }
      - { target_label: __address__, replacement: "blackbox-exporter:9115" }
]]):format(name, table.concat(urls, '", "'))
end

------------------------------------------------------------------- Compose --

-- Of a container as docker.inspect tells it; `text` is about its service.
function gaps.compose(container, text)
  local service = container.labels["com.docker.compose.service"] or "api"
  return ("services:\n  %s:\n%s"):format(service, (text:gsub("[^\n]+", "    %0")))
end

-- The image has a shell, and curl or wget.
function gaps.compose_health(container, path)
  local url = ("http://127.0.0.1:%d%s"):format(container.ports[1] or 80, path)
  return gaps.compose(container, ([[
healthcheck:
  test: [ "CMD-SHELL", "curl -fs %s || wget -qO- %s || exit 1" ]
  interval: 30s
  timeout: 5s
  retries: 3
]]):format(url, url))
end

---------------------------------------------------------------- Kubernetes --

local how = { httpGet = "HTTP", tcpSocket = "TCP", exec = "a program", grpc = "gRPC" }

local function handler(probe)
  for kind in pairs(how) do if probe and probe[kind] then return kind end end
end

-- The containers of a deployment that serve: its own first, and each with a port.
function gaps.serving(deployment, name)
  local list = {}
  for i, it in ipairs(deployment.spec.template.spec.containers) do
    local own = it.name == name or i == 1
    if own or it.ports then table.insert(list, it.name == name and 1 or #list + 1, it) end
  end
  return list
end

-- Is it tried often enough, and given up neither at the first failure nor too late? `path` is what it must ask for.
function gaps.looks_well(probe, path)
  if not handler(probe) or path and (probe.httpGet or {}).path ~= path then return false end
  local failures = probe.failureThreshold or 3                                 -- Kubernetes' own defaults
  return (probe.periodSeconds or 10) <= 30 and failures >= 2 and failures <= 5
end

-- "HTTP /healthz every 2 s, 3 failures"
function gaps.probe_text(probe)
  local kind = handler(probe)
  if not kind then return "none" end
  return ("%s%s every %d s, %d failures"):format(how[kind], probe.httpGet and " " .. (probe.httpGet.path or "/") or "",
    probe.periodSeconds or 10, probe.failureThreshold or 3)
end

-- For `kubectl patch --patch-file`; `text` is about the container of that name.
function gaps.patch(deployment, container, text)
  local meta = deployment.metadata
  return ([[
# kubectl --namespace=%s patch deployment %s --patch-file=FILE
spec:
  template:
    spec:
      containers:
        - name: %s
%s]]):format(meta.namespace, meta.name, container.name, (text:gsub("[^\n]+", "          %0")))
end

-- Whatever the probe did before goes: one with two ways to look is refused.
function gaps.patch_probe(deployment, container, kind, path)
  local port, old = (container.ports or {})[1] or {}, handler(container[kind])
  port = port.name or port.containerPort or 80
  local new = path and ("httpGet: { path: %s, port: %s }"):format(path, port)
    or ("tcpSocket: { port: %s }"):format(port)
  local replaced = old and old ~= new:match "^%a+" and ("  %s: null\n"):format(old) or ""
  return gaps.patch(deployment, container,
    ("%s:\n%s  %s\n  periodSeconds: 10\n  failureThreshold: 3\n"):format(kind, replaced, new))
end

local factors = { m = 0.001, Ki = 2 ^ 10, Mi = 2 ^ 20, Gi = 2 ^ 30, Ti = 2 ^ 40, k = 1e3, M = 1e6, G = 1e9, T = 1e12, [""] = 1 }

-- "512Mi" → bytes, "250m" → CPUs; 0 for what isn't understood.
local function quantity(text)
  local number, unit = tostring(text or ""):match "^([%d.]+)(%a*)$"
  return (tonumber(number) or 0) * (factors[unit] or 0)
end

-- As the cluster itself writes it: whole ones of the larger unit where there is no rest.
local function written(number, unit, whole, size)
  number = math.ceil(number)
  return number % size == 0 and ("%d%s"):format(number // size, whole) or ("%d%s"):format(number, unit)
end

-- A limit at which the pods can live: no less than is usual, and twice what they use and what is requested.
function gaps.patch_limit(deployment, container, what, usual, used)
  local asked = quantity(((container.resources or {}).requests or {})[what])
  local most = math.max(quantity(usual), 2 * (used or 0), 2 * asked)
  local text = what == "cpu" and written(most * 1000, "m", "", 1000) or written(most / 2 ^ 20, "Mi", "Gi", 1024)
  return gaps.patch(deployment, container, ('resources:\n  limits: { %s: "%s" }\n'):format(what, text))
end

return gaps
