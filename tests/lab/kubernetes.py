"""A small API server for the real kubectl. It holds one of the states that were recorded from a real cluster
(kubernetes/*.json: pods, deployments, replica sets, events and logs as the API served them), and changes it on writes as a
cluster would, at once or after `rollout_seconds`.

    cluster.load("crashloop")                            the state; "healthy" at first
    cluster.forbidden = {("patch", "deployments")}       what is answered with 403
    cluster.hangs = True; cluster.rollouts = False       no answers; rollouts get stuck
    cluster.budget = True                                a disruption budget lets no pod be evicted
"""

import copy
import json
import os
import re
import shutil
import time
import urllib.parse

from . import openapi
from .effects import PATH
from .program import ROOT
from .web import Site

HERE = os.path.join(os.path.dirname(__file__), "kubernetes")
DEBIANS = os.path.join(ROOT, "build", "kubernetes-client", "usr", "bin")  # where script/bootstrap unpacks it
KUBECONFIG = """apiVersion: v1
kind: Config
current-context: prod
clusters: [{{name: here, cluster: {{server: "{server}"}}}}]
contexts: [{{name: prod, context: {{cluster: here, namespace: conduit, user: oncall}}}}]
users: [{{name: oncall, user: {{token: x}}}}]
"""
NAMESPACE = "conduit"
GROUPS = {"namespaces": "", "pods": "", "nodes": "", "events": "", "deployments": "apps", "replicasets": "apps", "jobs": "batch",
          "configmaps": "", "services": "", "endpoints": "", "statefulsets": "apps", "horizontalpodautoscalers": "autoscaling",
          "endpointslices": "discovery.k8s.io"}
KINDS = {"namespaces": "Namespace", "pods": "Pod", "nodes": "Node", "events": "Event", "deployments": "Deployment",
         "replicasets": "ReplicaSet", "jobs": "Job", "configmaps": "ConfigMap",
         "services": "Service", "endpoints": "Endpoints", "statefulsets": "StatefulSet",
         "horizontalpodautoscalers": "HorizontalPodAutoscaler", "endpointslices": "EndpointSlice"}
RESOURCE = re.compile(r"^/(?:api|apis/(?P<group>[^/]+))/v1(?:/namespaces/(?P<namespace>[^/]+))?/(?P<kind>[a-z]+)"
                      r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?$")


def paths():
    """A PATH for each kubectl there is: the installed one, another that comes first on the caller's PATH, and Debian's."""
    found = {}
    for path in (PATH, os.environ["PATH"], DEBIANS):
        program = shutil.which("kubectl", path=path)
        if program:
            found.setdefault(os.path.realpath(program), os.path.dirname(program) + ":" + PATH)
    return list(found.values())


def merge(target, patch):
    """Strategic enough: maps merge, null removes, lists of named things merge by name, other lists replace."""
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        old = target.get(key)
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(old, dict):
            merge(old, value)
        elif isinstance(value, list) and all(isinstance(it, dict) and "name" in it for it in value):
            target[key] = merge_list(old or [], value)
        else:
            target[key] = value


def merge_list(old, changes):
    merged = {it["name"]: it for it in copy.deepcopy(old)}
    for it in changes:
        if it.get("$patch") == "delete":
            merged.pop(it["name"], None)
        else:
            merge(merged.setdefault(it["name"], {}), it)
    return list(merged.values())


def matches(labels, selector):
    for part in filter(None, (selector or "").split(",")):
        name, negative, value = re.match(r"([^!=]+)(!?)={1,2}(.*)", part).groups()
        if (labels.get(name) == value) == bool(negative):
            return False
    return True


def has_fields(it, selector):
    for part in filter(None, (selector or "").split(",")):
        name, value = part.split("=", 1)
        found = it
        for key in name.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        if found != value:
            return False
    return True


class Cluster(Site):
    def __init__(self):
        with open(os.path.join(HERE, "discovery.json")) as file:
            self.discovery = json.load(file)
        for name in ("statefulsets", "horizontalpodautoscalers", "endpointslices"):
            self.serve(name)
        self.load("healthy")
        super().__init__()

    def serve(self, name):
        """One more resource beside those that were recorded."""
        groups = self.discovery["groups"]
        group = next((it for it in groups if it["metadata"].get("name") == GROUPS[name]), None)
        if not group:
            group = {"metadata": {"name": GROUPS[name]}, "versions": [{"version": "v1", "resources": []}]}
            groups.append(group)
        known = group["versions"][0]["resources"]
        if all(it["resource"] != name for it in known):
            known.append({"resource": name, "singularResource": name[:-1], "scope": "Namespaced", "verbs": ["get", "list", "patch"],
                          "responseKind": {"kind": KINDS[name]}, "shortNames": []})

    def load(self, state):
        with open(os.path.join(HERE, "healthy.json")) as file:
            self.world = json.load(file)
        with open(os.path.join(HERE, state + ".json")) as file:
            self.world.update(json.load(file))
        for kind in KINDS:
            self.world.setdefault(kind, [])
        self.world["namespaces"] = [{"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": NAMESPACE},
                                     "status": {"phase": "Active"}}]
        self.forbidden, self.hangs, self.rollouts, self.rollout_seconds = set(), False, True, 0
        self.budget = False
        self.pending = []

    def kubeconfig(self):
        """A kubeconfig that leads here: context prod, namespace conduit."""
        return KUBECONFIG.format(server=self.url)

    # What stands on it.

    def objects(self, kind):
        return self.world.setdefault(kind, [])

    def find(self, kind, name):
        return next((it for it in self.objects(kind) if it["metadata"]["name"] == name), None)

    def deployment(self, name="conduit-api"):
        return self.find("deployments", name)

    def env(self, name="conduit-api"):
        container = self.deployment(name)["spec"]["template"]["spec"]["containers"][0]
        return {it["name"]: it.get("value") for it in container.get("env", [])}

    def many_pods(self, count):
        pod = self.objects("pods")[0]
        self.world["pods"] = []
        for number in range(count):
            one = copy.deepcopy(pod)
            one["metadata"].update(name=f"conduit-api-{number:05}", uid=f"uid-{number}")
            self.world["pods"].append(one)

    def service(self, selector, addresses=2, name="conduit-api", **changed):
        """A Service with that selector, and so many addresses behind it."""
        meta = {"name": name, "namespace": NAMESPACE, "uid": "uid-" + name, "resourceVersion": "1",
                "creationTimestamp": "2026-11-20T08:00:00Z"}
        fields = [{"manager": manager.replace("_", "-"), "operation": "Update", "apiVersion": "v1", "time": at,
                   "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}} for manager, at in changed.items()]
        self.world["services"] = [{"kind": "Service", "apiVersion": "v1", "metadata": {**meta, "managedFields": fields},
                                   "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": 8080}]}}]
        behind = [{"addresses": [{"ip": f"10.88.0.{n + 1}"} for n in range(addresses)]}] if addresses else None
        self.world["endpoints"] = [{"kind": "Endpoints", "apiVersion": "v1", "metadata": meta,
                                    **({"subsets": behind} if behind else {})}]

    def config_map(self, name, **changed):
        """A config map as the server keeps it: changed(manager=time, …) says who wrote it last and when."""
        fields = [{"manager": manager.replace("_", "-"), "operation": "Update", "apiVersion": "v1", "time": at,
                   "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}} for manager, at in changed.items()]
        self.objects("configmaps").append({
            "kind": "ConfigMap", "apiVersion": "v1", "data": {"KEY": "value"},
            "metadata": {"name": name, "namespace": NAMESPACE, "uid": "uid-" + name, "resourceVersion": "1",
                         "creationTimestamp": "2026-11-20T08:00:00Z", "managedFields": fields}})

    # Answers.

    def answer(self, handler, request):
        if self.hangs:
            handler.silence()
            return
        url = urllib.parse.urlsplit(request.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        with self.lock:
            self.settle()
            status, body = self.respond(request, url.path, query)
        handler.reply(status, body)

    def respond(self, request, path, query):
        found = self.discover(path)
        if found is not None:
            return 200, found
        if path.endswith("/selfsubjectaccessreviews"):
            return self.review(request)
        it = RESOURCE.match(path)
        if not it or it["kind"] not in KINDS or GROUPS[it["kind"]] != (it["group"] or ""):
            return self.failure(404, "NotFound", "the server could not find the requested resource")
        verb = {"GET": "get" if it["name"] else "list", "PATCH": "patch", "DELETE": "delete", "PUT": "update",
                "POST": "create"}[request.method]
        what = it["kind"] + ("/" + it["sub"] if it["sub"] else "")
        if (verb, what) in self.forbidden or (verb, it["kind"]) in self.forbidden:
            return self.refuse(verb, what, it)
        return self.carry_out(request, it, query)

    def discover(self, path):
        """What resources there are, as it is asked for by a kubectl of any age."""
        if path == "/version":
            return self.discovery["version"]
        if path == "/openapi/v2":
            return openapi.document((GROUPS[name], "v1", kind) for name, kind in KINDS.items())
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        named = [it for it in self.discovery["groups"] if it["metadata"].get("name")]
        if path == "/apis":
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self.group(it) for it in named]}
        for group in self.discovery["groups"]:
            name = group["metadata"].get("name")
            for version in group["versions"]:
                if path == (f"/apis/{name}/{version['version']}" if name else f"/api/{version['version']}"):
                    return self.resources(name, version)
        return None

    @staticmethod
    def group(it):
        name = it["metadata"]["name"]
        versions = [{"groupVersion": f"{name}/{v['version']}", "version": v["version"]} for v in it["versions"]]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    @staticmethod
    def resources(group, version):
        found = []
        for it in version["resources"]:
            scoped = it["scope"] == "Namespaced"
            found.append({"name": it["resource"], "singularName": it.get("singularResource", ""), "namespaced": scoped,
                          "kind": it["responseKind"]["kind"], "verbs": it["verbs"], "shortNames": it.get("shortNames", [])})
            for sub in it.get("subresources", []):
                found.append({"name": f"{it['resource']}/{sub['subresource']}", "singularName": "", "namespaced": scoped,
                              "verbs": sub["verbs"], **sub["responseKind"]})
        name = f"{group}/{version['version']}" if group else version["version"]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": found}

    def review(self, request):
        """May we? The question may come as protobuf: its strings are enough."""
        words = re.findall(rb"[a-z]{3,}", request.body)
        allowed = not any(verb.encode() in words and kind.split("/")[0].encode() in words for verb, kind in self.forbidden)
        return 201, {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {}, "spec": {},
                     "status": {"allowed": allowed}}

    @staticmethod
    def failure(code, reason, message, **details):
        return code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                      "reason": reason, "details": details, "code": code}

    def refuse(self, verb, what, it):
        group = it["group"] or ""
        full = it["kind"] + ("." + group if group else "")
        who = f'{full} "{it["name"]}"' if it["name"] else full
        return self.failure(403, "Forbidden", f'{who} is forbidden: User "oncall" cannot {verb} resource "{what}" '
                            f'in API group "{group}" in the namespace "{it["namespace"]}"',
                            kind=it["kind"], group=group, name=it["name"] or "")

    def carry_out(self, request, it, query):
        kind, name = it["kind"], it["name"]
        if not name:
            return self.list(it, query)
        found = self.find(kind, name)
        if not found or it["namespace"] not in (None, found["metadata"].get("namespace")):
            full = kind + ("." + it["group"] if it["group"] else "")
            return self.failure(404, "NotFound", f'{full} "{name}" not found', name=name, kind=kind, group=it["group"] or "")
        if it["sub"] == "log":
            return self.log(found, query)
        if it["sub"] == "eviction":
            if self.budget:
                return self.failure(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
            if b"dryRun" not in request.body:
                self.objects(kind).remove(found)
            return 201, {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        if request.method in ("PATCH", "PUT"):
            return self.patch(request, it, query, found)
        if request.method == "DELETE":
            if "dryRun" not in query and b"dryRun" not in request.body:
                self.objects(kind).remove(found)
            return 200, found
        return 200, self.scale_of(found) if it["sub"] == "scale" else found

    def list(self, it, query):
        chosen = [o for o in self.objects(it["kind"])
                  if it["namespace"] in (None, o["metadata"].get("namespace"))
                  and matches(o["metadata"].get("labels", {}), query.get("labelSelector"))
                  and has_fields(o, query.get("fieldSelector"))]
        first, limit = int(query.get("continue") or 0), int(query.get("limit") or 0) or len(chosen) + 1
        more = {"continue": str(first + limit)} if first + limit < len(chosen) else {}
        version = "v1" if not it["group"] else it["group"] + "/v1"
        return 200, {"kind": KINDS[it["kind"]] + "List", "apiVersion": version, "metadata": {"resourceVersion": "1", **more},
                     "items": chosen[first:first + limit]}

    def log(self, pod, query):
        name, which = pod["metadata"]["name"], "previous" if query.get("previous") == "true" else "now"
        kept = self.world.get("logs", {}).get(name, {}).get(which)
        if kept and isinstance(kept["answer"], dict):
            return kept["status"], kept["answer"]
        if which == "previous" and (not kept or kept["exit"]):
            container = pod["spec"]["containers"][0]["name"]
            return self.failure(400, "BadRequest", f'previous terminated container "{container}" in pod "{name}" not found')
        lines = (kept["text"] if kept else f"hello from {name}\n").splitlines(keepends=True)
        return 200, "".join(lines[-int(query.get("tailLines") or len(lines)):])

    @staticmethod
    def scale_of(it):
        return {"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": it["spec"]["replicas"]},
                "metadata": {key: it["metadata"].get(key) for key in ("name", "namespace", "uid", "resourceVersion")},
                "status": {"replicas": it["status"].get("replicas", 0)}}

    def patch(self, request, it, query, found):
        changed, patch = copy.deepcopy(found), request.json
        if it["sub"] == "scale":
            changed["spec"]["replicas"] = patch["spec"]["replicas"]
        elif isinstance(patch, list):
            for step in patch:
                *path, last = step["path"].strip("/").replace("~1", "/").split("/")
                place = changed
                for key in path if "metadata/annotations" not in step["path"] else ["metadata"]:
                    place = place.setdefault(key, {})
                place["annotations" if place is changed["metadata"] else last] = step["value"]
        else:
            merge(changed, patch)
        if (changed.get("spec") or {}).get("replicas", 0) < 0:
            return self.failure(422, "Invalid", f'Deployment.apps "{it["name"]}" is invalid: spec.replicas: Invalid value: -1: '
                                "must be greater than or equal to 0")
        if query.get("dryRun"):
            return 200, self.scale_of(changed) if it["sub"] == "scale" else changed
        before = copy.deepcopy(found)
        found.clear()
        found.update(changed)
        if it["kind"] == "deployments" and before["spec"] != found["spec"]:
            self.roll(found, renew=before["spec"]["template"] != found["spec"]["template"])
        return 200, self.scale_of(found) if it["sub"] == "scale" else found

    # Rollouts.

    def roll(self, it, renew):
        it["metadata"]["generation"] += 1
        status = it["status"]
        status["observedGeneration"] = it["metadata"]["generation"]
        if renew:
            status["updatedReplicas"] = 0
        others = [c for c in status["conditions"] if c["type"] != "Progressing"]
        status["conditions"] = others + [{"type": "Progressing", "status": "True"}]
        self.pending.append((time.monotonic() + self.rollout_seconds, it, renew))
        self.settle()

    def settle(self):
        """Carries rollouts out whose time has come."""
        now, waiting = time.monotonic(), self.pending
        self.pending = [one for one in waiting if one[0] > now]
        for at, it, renew in waiting:
            if at <= now:
                self.finish(it, renew) if self.rollouts else self.get_stuck(it)

    @staticmethod
    def get_stuck(it):
        progress = next(c for c in it["status"]["conditions"] if c["type"] == "Progressing")
        progress.update(status="False", reason="ProgressDeadlineExceeded", message="ReplicaSet has timed out progressing.")

    def finish(self, it, renew):
        count, labels = it["spec"]["replicas"], it["spec"]["selector"]["matchLabels"]
        it["status"].update({key: count for key in ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas")})
        it["status"].pop("unavailableReplicas", None)
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        mine = [p for p in self.objects("pods") if matches(p["metadata"].get("labels", {}), selector)]
        with open(os.path.join(HERE, "healthy.json")) as file:
            model = json.load(file)["pods"][0]
        kept = [] if renew else mine[:count]
        self.world["pods"] = [p for p in self.objects("pods") if p not in mine] + kept
        for number in range(len(kept), count):
            pod = copy.deepcopy(model)
            pod["metadata"].update(name=f"{it['metadata']['name']}-g{it['metadata']['generation']}-{number}", uid=f"new-{number}")
            self.world["pods"].append(pod)
