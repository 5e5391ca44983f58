-- kubectl over recorded words of kubectl 1.32: what its failures mean, and what a vector holds.
local catalogue = require "catalogue"
local process = require "raw.process"
local settings = require "settings"
local values = require "values"
settings.environment = { PATH = "/usr/bin:/bin" }
settings.kubectl = { context = "prod", namespace = "conduit", server = "https://k8s:6443",
                     kubeconfig = "/k/config" }
catalogue.family "kubectl"

local function equal(got, wanted, what)
  if got ~= wanted then
    error(("%s: %q expected, got %q"):format(what, tostring(wanted), tostring(got)), 2)
  end
end

-- answers[word of the vector] = { code, stdout, stderr }, or an error; one that is a list of these is used
-- up.
local answers, asked, to_read = {}, {}, nil
function process.run(spec)
  local line = table.concat(spec.argv, " ")
  asked[#asked + 1] = line
  to_read = spec.stdin
  for words, answer in pairs(answers) do
    if line:find(words, 1, true) then
      if type(answer[1]) == "table" then answer = #answer > 1 and table.remove(answer, 1) or answer[1] end
      if answer.kind then return nil, answer end
      return { code = answer[1], stdout = answer[2] or "", stderr = answer[3] or "", cut = answer.cut
               or false, signal = answer.signal }
    end
  end
  if line:find("config view", 1, true) then return { code = 1, stdout = "", stderr = "error: no context" } end
  error("nobody answers " .. line)
end

local function entry(name) return catalogue.effects["kubectl." .. name] end
local function run(name, ...) return entry(name).run(catalogue.call(entry(name), ...)) end

-- The vector says where it goes.
answers = { ["get pods"] = { 0, "" } }
run("get", "pods")
equal(asked[#asked], "kubectl --kubeconfig=/k/config --context=prod --server=https://k8s:6443 --namespace=conduit get pods "
  .. '--output=jsonpath={range .items[*]}{@}{"\\n"}{end}', "the vector")
run("get", "pods", { namespace = "*", selector = "app=x" })
equal(asked[#asked]:find("--namespace", 1, true), nil, "no namespace")
equal(asked[#asked]:match "%-%-all%-namespaces$", "--all-namespaces", "all of them")

-- A list too long to be read as a whole is read again without its objects.
local parts = "Pod\tp\tn\t2026-11-23T18:00:00Z\t\t1\tvm\t\t\t\t"
  .. '{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"restartCount":2}]}\n'
  .. "Deployment\td\tn\t2026-11-23T18:00:00Z\t\t3\t\t2\t\t\t" .. '{"observedGeneration":3,"replicas":2,"readyReplicas":1}\n'
answers = { ["{@}"] = { 0, '{"kind":"Pod"', cut = true }, ["{.status}"] = { 0, parts } }
local long = run("get", "pods")
equal(long.cut, true, "told")
equal(long.total, 2, "all of them")
equal(long.items[1].ready and long.items[1].restarts, 2, "a pod's fields")
equal(long.items[1].object, nil, "but its object")
equal(long.items[2].desired, 2, "a deployment's fields")

answers["{.status}"] = { 0, parts .. "Pod\thalf\tn\t2026", cut = true }
long = run("get", "pods")
equal(long.total .. " " .. tostring(long.cut), "2 true", "one that is too long even so is cut, not failed")
equal(long.summary:match "^of the first 2: ", "of the first 2: ", "and says so")

-- What failures mean: { words on stderr, kind of a read's error }.
local said = {
  { 'Error from server (Forbidden): pods is forbidden: User "oncall" cannot list resource "pods"',
    "permission" },
  { 'error: failed to patch: deployments.apps "x" is forbidden: User "oncall" cannot patch', "permission" },
  { "error: You must be logged in to the server (Unauthorized)", "login" },
  { "error: EOF", "login" },
  { "The connection to the server 127.0.0.1:16999 was refused - did you specify the right host or port?",
    "unreachable" },
  { "E1123 17:59:01.1 1 memcache.go:265] x\nUnable to connect to the server: dial tcp: lookup kube.invalid: no such host", "dns" },
  { "Unable to connect to the server: context deadline exceeded", "unreachable" },
  { "Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed by unknown authority",
    "certificate" },
  { "Error: unknown flag: --nosuchflag\nSee 'kubectl get --help' for usage.", "usage" },
  { 'error: the server doesn\'t have a resource type "nosuchtype"', "usage" },
  { "panic: something nobody has seen", "kubectl" },
}
for _, it in ipairs(said) do
  answers = { ["get pods"] = { 1, "", it[1] } }
  local fields, err = run("get", "pods")
  equal(fields, nil, it[1])
  equal(err.kind, it[2], it[1])
  equal(err.message:find("memcache", 1, true), nil, "klog's lines are left out")
end
answers = { ["get pods"] = { kind = "timeout", message = "kubectl took longer than 15 s" } }
equal(select(2, run("get", "pods")).kind, "unreachable", "a read in time is no finding")

-- A write that may have reached the server: nobody knows.
answers = { ["rollout restart"] = { 1, "", "Unable to connect to the server: context deadline exceeded" } }
equal(select(2, run("rollout_restart", "deployment", "x")).kind, "timeout", "may have run")
answers = { ["rollout restart"] = { 1, "",
                                    "The connection to the server x was refused - did you specify the right host or port?" } }
equal(select(2, run("rollout_restart", "deployment", "x")).kind, "unreachable", "has not run")

-- Twice within a second: once more, later.
local complete = '{"kind":"Deployment","metadata":{"name":"x","generation":2},"spec":{"replicas":1,"selector":{}},"status":'
  .. '{"observedGeneration":2,"replicas":1,"updatedReplicas":1,"readyReplicas":1,"availableReplicas":1,"conditions":null}}'
for _, twice in ipairs { "if restart has already been triggered within the past second, please wait", "empty patch" } do
  answers = { ["rollout restart"] = { { 1, "", "error: failed to create patch for x: " .. twice },
                                      { 0, "deployment.apps/x restarted\n" } },
              ["get deployment x"] = { 0, complete } }
  equal(run("rollout_restart", "deployment", "x").state, "complete", "restarted the second time")
end

-- A program in a container: its code, or kubectl's own failure.
answers = { ["exec p -- id"] = { 3, "out", "err\ncommand terminated with exit code 3\n" } }
local it = run("exec", "p", { "id" }, { reads = true })
equal(it.code, 3, "its code")
equal(it.ok, false, "not well")
equal(it.stderr, "err\n", "kubectl's own line is left out")
equal(run("exec", "p", { "id" }, { reads = true, expect = 3 }).ok, nil, "as expected")
answers = { ["exec p"] = { 1, "",
                           'error: Internal error occurred: unable to upgrade connection: container not found ("api")' } }
equal(select(2, run("exec", "p", { "id" })).message:find("container not found", 1, true) ~= nil, true,
      "kubectl's words")
equal(to_read, nil, "stdin is closed")

-- Its variables go in by standard input, where no list of words shows them; what it reads comes after.
answers = { ["exec p"] = { 0, "" } }
run("exec", "p", { "app", "x" }, { env = { B = "it's\n2", A = "1" }, stdin = "text" })
equal(asked[#asked]:match "exec p %-%-stdin %-%- /bin/sh %-c .* sh (app x)$", "app x", "through a shell that reads them")
equal(to_read, "export A=1;export B='it'\\''s'\"$rb_nl\"'2';\ntext", "one line of variables")
equal(asked[#asked]:find("it's", 1, true), nil, "not among the words")
local function class_of(...) return entry "exec".class(catalogue.call(entry "exec", "p", ...)) end
equal(class_of { "df", "-h" }, "read", "a read by the list")
equal(class_of { "app" }, "write", "else a write")
equal(class_of({ "app" }, { reads = true }), "declared", "but on the author's word")

-- What a Secret holds goes nowhere.
answers = { ["get secret s"] = { 0, '{"kind":"Secret","metadata":{"name":"s","annotations":'
  .. '{"kubectl.kubernetes.io/last-applied-configuration":"aHVudGVy"}},"data":{"password":"aHVudGVy"}}' } }
local secret = run("get", "secret", "s").object
equal(secret.data.password, "***", "a Secret's value")
equal(next(secret.metadata.annotations), nil, "nor in its annotations")

-- When an object was last changed, and by whom; its status changes by itself.
local fields_of = '"managedFields":[{"manager":"kubectl-create","operation":"Update","time":"2026-11-23T18:00:00Z"},'
  .. '{"manager":"kubectl-edit","operation":"Update","time":"2026-11-23T19:00:00Z"},{"manager":"kubectl","subresource":"scale"},'
  .. '{"manager":"kube-controller-manager","subresource":"status","time":"2026-11-23T20:00:00Z"}]'
answers = { ["get configmaps"] = { 0, '{"kind":"ConfigMap","metadata":{"name":"a",' .. fields_of .. '}}\n'
              .. '{"kind":"ConfigMap","metadata":{"name":"b"}}\n' },
            ["get configmap a"] = { 0, '{"kind":"ConfigMap","metadata":{"name":"a",' .. fields_of .. '}}' } }
local maps = run("get", "configmaps")
equal(maps.items[1].changed, 1795460400, "changed")
equal(maps.items[1].manager, "kubectl-edit", "by")
equal(maps.items[1].object.metadata.managedFields, nil, "which stands in no journal")
equal(maps.items[2].changed, nil, "not known")
maps = run("get", "configmaps", { objects = false })
equal(tostring(maps.items[1].object) .. tostring(maps.cut), "nilfalse", "without the objects")
equal(maps.items[1].changed, 1795460400, "but with what they are made of")
equal(run("get", "configmap", "a", { objects = false }).object, nil, "of one")
equal(run("get", "configmap", "a").items[1].changed, 1795460400, "of one")
equal(asked[#asked]:match "get configmap a .*$", "get configmap a --output=jsonpath={@}", "which --output=json leaves out")
equal(maps.place, "conduit @ prod", "where")

-- Readiness of kinds that only their conditions tell of: one that is ill, or not told, is never ready.
local function ready_by(conditions, kind)
  answers = { ["get widget w"] = { 0, ('{"kind":"%s","metadata":{"name":"w","generation":2},"status":%s}')
                                      :format(kind or "Widget", conditions) } }
  local item = run("get", "widget", "w").items[1]
  return ("%s %s"):format(tostring(item.ready), item.reason or "-")
end
local function one(kind, status, more)
  return ('{"type":"%s","status":"%s"%s}'):format(kind, status, more or "")
end
local function all(...) return ('{"conditions":[%s]}'):format(table.concat({ ... }, ",")) end
local by_condition = {
  { all(one("Ready", "True")), "true -" }, { all(one("Available", "True"), one("Degraded", "False")), "true -" },
  { all(one("Ready", "False", ',"reason":"Expired"')), "false Expired" }, { all(one("Available", "False")), "false not Available" },
  { all(one("Ready", "True"), one("Degraded", "True")), "false Degraded" },
  { all(one("Ready", "Unknown")), "nil readiness not known" }, { all(one("Issuing", "True")), "nil readiness not known" },
  { all(one("Ready", "True", ',"observedGeneration":1')), "nil readiness not known" },
  { all(one("Ready", "False", ',"observedGeneration":1')), "nil readiness not known" },
  { '{"conditions":{"Ready":true}}', "nil readiness not known" }, { '"fine"', "nil readiness not known" },
  { "null", "nil readiness not known" },
}
for _, it in ipairs(by_condition) do equal(ready_by(it[1]), it[2], it[1]) end
equal(ready_by("null", "ConfigMap"), "true -", "a kind without health is well when it is there")
equal(ready_by(all(one("Ready", "False")), "Service"), "false not Ready", "another API's kind of the same name")
answers = { ["get widgets"] = { 0, '{"kind":"Widget","metadata":{"name":"a"},"status":' .. all(one("Ready", "True")) .. '}\n'
              .. '{"kind":"Widget","metadata":{"name":"b"}}\n' } }
local unknown = run("get", "widgets")
equal(unknown.summary, "1 of 2: b (readiness not known)", "said")
for _, name in ipairs { "ready", "not_ready" } do
  equal(unknown[name], nil, "no count without the one that is not known")
  equal(select(2, pcall(entry("get").lazy[name], unknown)):match "kubectl.get: .*", "kubectl.get: " .. unknown.summary, "asked for")
end

-- What is on its way out is not missed, unless it was asked for by its name.
local function pod_of(name, ready, more)
  return ('{"kind":"Pod","metadata":{"name":"%s"%s},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"%s"}]}}')
    :format(name, more or "", ready)
end
local going = ',"deletionTimestamp":"2026-11-23T18:00:00Z"'
answers = { ["get pods"] = { 0, pod_of("a", "True") .. "\n" .. pod_of("b", "False", going) .. "\n" },
            ["get pod b"] = { 0, pod_of("b", "True", going) } }
local rest = run("get", "pods")
equal(("%d of %d, %d, %d"):format(rest.ready, rest.total, #rest.not_ready, rest.terminating), "1 of 1, 0, 1", "counts")
equal(rest.summary, "1 of 1 ready; 1 terminating", "said")
equal(rest.items[2].terminating, true, "and listed")
answers["get pods"] = { 0, pod_of("b", "False", going) .. "\n" }
rest = run("get", "pods")
equal(rest.state .. " " .. rest.total .. " " .. rest.summary, "present 0 there are no pods; 1 terminating", "the last ones")
rest = run("get", "pod", "b")
equal(("%d of %d: %s"):format(rest.ready, rest.total, rest.summary), "0 of 1: b: Terminating", "by its name")

-- A deployment's revisions are its ReplicaSets; an undo took the first again, under the number 3.
local function set(name, owner, annotations)
  return ('{"kind":"ReplicaSet","metadata":{"name":"%s","creationTimestamp":"2026-11-2%s:00:00Z","ownerReferences":[{"uid":"%s"}],'
    .. '"annotations":{%s}},"spec":{"template":{"spec":{"containers":[{"name":"api","image":"api:%s"},{"image":"proxy:1"}]}}}}')
    :format(name, name, owner, annotations, name)
end
local function revision(number, more) return ('"deployment.kubernetes.io/revision":"%d"%s'):format(number, more or "") end
local deployment = '{"kind":"Deployment","metadata":{"name":"x","uid":"u","annotations":{%s}},"spec":{"selector":{"matchLabels":'
  .. '{"app":"x"}}},"status":{"conditions":[{"type":"Progressing","lastUpdateTime":"2026-11-23T10:00:00Z"}]}}'
local sets = ('{"items":[%s]}'):format(table.concat({
  set("0T01", "u", revision(4, ',"deployment.kubernetes.io/revision-history":"1,3"')),
  set("1T01", "u", revision(2, ',"kubernetes.io/change-cause":"kubectl set image"')),
  set("2T01", "another", revision(9)), set("2T02", "u", "") }, ","))
answers = { ["get deployment x"] = { 0, deployment:format(revision(4)) }, ["get replicasets"] = { 0, sets } }
local history = run("rollout_history", "deployment", "x")
equal(#history.revisions .. " " .. history.current, "2 4", "those of this deployment that have a number")
equal(history.revisions[1].cause, "kubectl set image", "why")
equal(history.revisions[1].at, 1795222800, "when its ReplicaSet was made")
equal(table.concat(history.revisions[1].images, " "), "api:1T01 proxy:1", "its images")
equal(history.revisions[2].at, 1795428000, "when its rollout last got on")
equal(asked[#asked]:match "get replicasets .*$", "get replicasets --output=json --selector=app=x", "only its own")
answers["rollout undo"], answers["auth can-i"] = { 0, "" }, { 0, "yes" }
local undo = entry "rollout_undo".preview(catalogue.call(entry "rollout_undo", "deployment", "x"))
equal(undo.text:match "from revision.-%), renewing", "from revision 4 (api:0T01, proxy:1) to revision 2 (api:1T01, proxy:1; "
  .. "why: kubectl set image), renewing", "an undo says why the revision was made")
answers["get deployment x"] = { 0, deployment:format(revision(5)) }
equal(run("rollout_history", "deployment", "x").revisions[2].at, nil, "that of a later one says nothing of it")
answers = { ["get statefulset y"] = { 0, '{"kind":"StatefulSet","metadata":{"name":"y"}}' },
            ["rollout history"] = { 0, "statefulset.apps/y \nREVISION  CHANGE-CAUSE\n1         <none>\n2         new\n\n" } }
equal(entry "rollout_undo".preview(catalogue.call(entry "rollout_undo", "statefulset", "y", { to = 3 })).impossible,
      "statefulset y has no revision 3 to go back to (kept: 1, 2)", "no such revision")
history = run("rollout_history", "statefulset", "y")
equal(history.current .. history.revisions[2].cause .. tostring(history.revisions[1].cause), "2newnil", "by kubectl's words")

-- top, in namespaces and for nodes.
answers = { ["top pods"] = { 0, "a-1   12m   34Mi\nb-2   1      2Gi\n" },
            ["top nodes"] = { 0, "vm   250m   12%   1024Mi   51%\n" } }
equal(run("top", "pods").items[1].memory_bytes, 34 << 20, "memory")
equal(run("top", "pods").items[2].cpu, 1, "CPU")
equal(run("top", "nodes").items[1].memory_percent, 51, "of a node")

-- Arguments known only in the run make no plan's vector.
local call = catalogue.call(entry "delete", "pod", values.placeholder "name")
equal(entry("delete").preview(call).text, "its name, ‹name›, is known only in the run", "a placeholder")

-- More on stderr than is kept cuts kubectl's own line off; its code is the program's.
answers = { ["exec p"] = { 4, "", ("x"):rep(1 << 20), cut = true } }
equal(run("exec", "p", { "app" }).code, 4, "its code")

-- A log that the node has no longer is told with code 0.
answers = { ["logs p"] = { 0, "unable to retrieve container logs for containerd://57cf8d" } }
equal(run("logs", "p").state .. tostring(run("logs", "p").text), "absentnil", "no log")

-- Newer reporters count in a series.
answers = { ["get events"] = { 0, '{"items":[{"metadata":{},"count":null,"lastTimestamp":null,"eventTime":"2026-11-23T18:00:00Z",'
  .. '"series":{"count":7,"lastObservedTime":"2026-11-23T19:00:00Z"}}]}' } }
local often = run("events").events[1]
equal(("%d %d"):format(often.count, often.at), "7 1795460400", "how often, and when last")

-- What the change would meet too is refused in the plan; what may be over by then is unknown.
local meets = { { "error: You must be logged in to the server (Unauthorized)", true },
                { 'Error from server (Forbidden): deployments.apps "x" is forbidden', true },
                { "Unable to connect to the server: x509: certificate has expired or is not yet valid", true },
                { "The connection to the server x was refused - did you specify the right host or port?", false },
                { "Unable to connect to the server: context deadline exceeded", false } }
local changes = { { "rollout_restart", "deployment", "x" }, { "scale", "deployment", "x", 3 },
                  { "rollout_undo", "deployment", "x" }, { "patch", "deployment", "x", { a = 1 } },
                  { "delete", "deployment", "x" }, { "cordon", "n" }, { "drain", "n" },
                  { "exec", "p", { "app" } }, { "set_env", "deployment", "x", { A = "1" } } }
for _, it in ipairs(meets) do
  answers = { ["get "] = { 1, "", it[1] } }
  for _, change in ipairs(changes) do
    local preview = entry(change[1]).preview(catalogue.call(entry(change[1]), table.unpack(change, 2)))
    equal(preview.impossible ~= nil, it[2], change[1] .. ": " .. it[1])
    equal(preview.unknown, not it[2] or nil, change[1] .. ": " .. it[1])
  end
end

print "kubectl: well"
