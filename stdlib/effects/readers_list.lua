-- The list that effects/readers.lua goes by: programs whose runs only look, with the options that keep them so. What
-- writes a file, starts a program, sends a signal, changes a setting or goes to another machine over ssh is left out, and
-- so refused. `tail -f` and its like never end by themselves, which is what deadlines are for.
--
-- reads(program, options, more)          a program without verbs
-- verbs(program, options, verbs, own, more)   verbs ("get, rollout status"), options before or after them, and the verbs' own
-- Options as readers.lua reads them. `more`: operand, a pattern for every word that is no option; values, patterns for
-- options' values; needs, options of which one must be there; whole: options are words as -name, not letters; check.
local list = { programs = {}, order = {}, variables = {} }

local function add(program, entry)
  if not list.programs[program] then
    list.programs[program] = {}
    list.order[#list.order + 1] = program
  end
  table.insert(list.programs[program], entry)
end

local function entry_of(more, fields)
  for name, value in pairs(more or {}) do fields[name] = value end
  return fields
end

local function reads(programs, options, more)
  for program in programs:gmatch "%S+" do add(program, entry_of(more, { verb = {}, options = options })) end
end

local function verbs(programs, options, names, own, more)
  for program in programs:gmatch "%S+" do
    for name in names:gmatch "[^,]+" do
      local verb = {}
      for word in name:gmatch "%S+" do verb[#verb + 1] = word end
      add(program, entry_of(more, { verb = verb, options = options, of_verb = own }))
    end
  end
end

--------------------------------------------------------------- Variables --

-- Name → a pattern for its value.
local function variables(names, pattern)
  for name in names:gmatch "%S+" do list.variables[name] = pattern or ".*" end
end

variables "LANG LANGUAGE TZ COLUMNS LINES NO_COLOR"
variables "PGHOST PGHOSTADDR PGPORT PGUSER PGPASSWORD PGDATABASE PGSSLMODE PGCONNECT_TIMEOUT PGDATA"
variables [[
  AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
  AWS_MAX_ATTEMPTS]]
variables "VAULT_ADDR VAULT_TOKEN VAULT_NAMESPACE CONSUL_HTTP_ADDR CONSUL_HTTP_TOKEN CONSUL_NAMESPACE"
variables "ETCDCTL_API ETCDCTL_ENDPOINTS ETCDCTL_USER ETCDCTL_PASSWORD RESTIC_PASSWORD HELM_NAMESPACE"
-- The ways to say "no pager".
variables("PAGER GIT_PAGER SYSTEMD_PAGER AWS_PAGER", "^$")
reads("env", "", { operand = "^[%a_][%w_]*=" })

-------------------------------------------- Disks, memory, processes, users --

reads("df", [[
  -a -h -H -i -k -l -m -P -T -B= -t= -x= --all --block-size= --human-readable --si --inodes --local
  --portability --print-type --type= --exclude-type= --total --output? --no-sync …]])
reads("du", [[
  -a -b -c -h -H -k -m -s -x -S -L -P -l -0 -D -d= -t= -B= -X= --all --bytes --total --human-readable --si
  --summarize --one-file-system --separate-dirs --dereference --max-depth= --apparent-size --exclude=
  --threshold= --time? --inodes --block-size= --null …]])
reads("free", [[
  -b -k -m -g -h -t -w -l -v -c= -s= --bytes --kibi --mebi --gibi --mega --giga --human --total --wide
  --si --lohi --count= --seconds=]])
reads("uptime", "-p -s --pretty --since")
reads("vmstat", "-a -f -m -n -s -d -D -t -w -y -p= -S= --active --stats --disk --timestamp --wide --unit= …")
reads("nproc", "--all --ignore=")
reads("lscpu", [[
  -a -b -c -e? -J -p? -x -y --all --online --offline --extended? --json --parse? --physical --caches?]])
reads("lsblk", [[
  -a -b -d -D -f -i -J -l -m -n -N -O -p -P -r -s -S -t -z -e= -I= -o= -T? -x= --all --bytes --nodeps --fs
  --json --list --noheadings --output= --output-all --paths --pairs --raw --inverse --topology --tree?
  --sort= …]])
reads("findmnt", [[
  -A -a -b -C -D -f -i -J -k -l -m -n -P -r -R -s -U -u -v -e -d= -F= -M= -N= -O= -o= -S= -T= -t= --all
  --bytes --df --first-only --json --kernel --list --noheadings --output= --raw --real --source=
  --submounts --target= --types= …]])
reads("ps", "-* …")
reads("pgrep", [[
  -a -c -f -i -l -n -o -v -w -x -d= -g= -G= -P= -s= -t= -u= -U= --list-full --count --full --list-name
  --newest --oldest --exact --parent= --euid= --uid= --group= --session= --terminal= --delimiter= …]])
reads("pidof", "-c -q -s -x -o= --single-shot …")
-- Of its words with a plus only those that choose files: +m writes.
local function chooses_files(_, operands)
  for _, word in ipairs(operands) do if word:find "^%+" and not word:find "^%+[DdLc]" then return false end end
  return true
end

reads("lsof", [[
  -a -b -l -n -N -o -P -R -s? -S -t -U -w -X -i? -c= -d= -F? -g? -p= -u= -K -L …]], { check = chooses_files })
reads("id groups whoami who w last uname readlink realpath basename dirname", "-* …")
reads("getent", "-s= -i --service= --no-idn …")
reads("swapon", "--show? -s --summary --bytes --noheadings --raw", { needs = { "--show -s --summary" } })
verbs("zfs", "", "list, get", "-H -p -r -d= -o= -s= -S= -t= …")
reads("hostname", [[
  -s -f -i -I -d -A -y --short --fqdn --long --ip-address --all-ip-addresses --domain --all-fqdns]])
reads("dmesg", [[
  -T -H -L? -k -u -x -r -t -d -e -P -S -w -W -J -l= -f= -s= --ctime --human --level= --facility= --since=
  --until= --kernel --userspace --decode --nopager --color? --json --time-format= --notime --show-delta
  --reltime --raw --follow]])
reads("date", [[
  -u -R -I? -d= -r= --utc --universal --rfc-email --iso-8601? --rfc-3339= --date= --reference=]], { operand = "^%+" })
verbs("chronyc", "-n -c -N", "tracking, sources, sourcestats, activity", "-v -a")
reads("sysctl", [[
  -a -A -n -N -e -b -r= --all --values --names --ignore --binary --pattern=]], { operand = "^%l[%w%._/%-]*$" })
reads("mdadm", "--detail -D --scan -s --brief -b --export -Y --verbose -v --test -t", { operand = "^/dev/",
  needs = { "--detail -D" } })
verbs("zpool", "", "status", "-D -e -g -i -L -P -p -s -t -v -x -T= …")
verbs("zpool", "", "list", "-H -g -L -P -p -v -o= -T= …")
reads("smartctl", [[
  -H -i -A -a -c -x -d= -j -n= -q= --health --info --attributes --all --capabilities --device= --json?
  --nocheck= --quietmode= …]], { operand = "^/dev/" })

----------------------------------------------------------------- Packages --

-- The first word decides what the letters after it mean: -i is "install" without it.
local function begins_as_query(_, _, argv) return argv[2]:find "^%-q" ~= nil or argv[2] == "--query" end

reads("rpm", [[
  -q -a -i -l -c -d -s -R -f -p -v --query --all --info --list --configfiles --docfiles --state --requires
  --provides --conflicts --obsoletes --changelog --scripts --triggers --file --package --last
  --queryformat= --qf= --whatprovides --whatrequires --installtime …]], { check = begins_as_query })
reads("dpkg-query", [[
  -W -l -s -L -S -p -f= --show --list --status --listfiles --search --print-avail --showformat= …]])

-------------------------------------------------------------------- Files --

reads("cat", "-A -b -e -E -n -s -t -T -u -v --show-all --number --number-nonblank --show-ends --show-tabs …")
reads("ls grep egrep fgrep wc md5sum sha1sum sha256sum sha512sum", "-* …")
reads("stat", "-L -f -t -c= --dereference --file-system --format= --printf= --terse --cached= …")
reads("head", "-n= -c= -q -v -z -5 --lines= --bytes= --quiet --verbose …")
reads("tail", [[
  -n= -c= -f -F -q -v -z -5 -s= --lines= --bytes= --follow? --retry --pid= --sleep-interval= --quiet
  --verbose …]])
reads("find", [[
  -H -L -P -name= -iname= -path= -ipath= -wholename= -regex= -iregex= -regextype= -lname= -ilname= -type=
  -xtype= -size= -empty -mtime= -mmin= -ctime= -cmin= -atime= -amin= -newer= -anewer= -cnewer= -newermt=
  -newerct= -newerat= -daystart -maxdepth= -mindepth= -xdev -mount -depth -d -follow -noleaf -prune -quit
  -user= -group= -uid= -gid= -nouser -nogroup -perm= -links= -inum= -samefile= -readable -writable
  -executable -fstype= -used= -print -print0 -printf= -ls -not -a -and -o -or -true -false
  -ignore_readdir_race -noignore_readdir_race …]], { whole = true })

------------------------------------------------------------------ Network --

reads("dig host", "-* …")
reads("ss", [[
  -n -r -a -l -o -e -m -p -s -i -T -Z -z -b -4 -6 -0 -t -u -d -w -x -S -H -O -M -V -f= -A= --numeric
  --resolve --all --listening --options --extended --memory --processes --summary --info --ipv4 --ipv6
  --packet --tcp --udp --dccp --raw --unix --sctp --no-header --oneline --family= --query= …]])
reads("netstat", [[
  -a -l -n -p -t -u -w -x -e -o -r -i -s -g -W -4 -6 -v -T -S -U -c -C -F -N -V --all --listening
  --numeric --numeric-hosts --numeric-ports --numeric-users --programs --tcp --udp --udplite --sctp --raw
  --unix --extend --timers --route --interfaces --statistics --groups --wide --verbose --inet --inet6
  --continuous --symbolic]], { operand = "^%d+$" })
reads("traceroute tracepath", [[
  -4 -6 -A -d -e -F -I -n -r -T -U -b -f= -g= -i= -l= -m= -N= -p= -q= -s= -t= -w= -z= …]])
reads("ping ping6", "-4 -6 -D -n -O -q -v -c= -i= -I= -M= -s= -t= -w= -W= …",
  { values = { ["-i"] = "^%d*%.?[1-9]" } })
local ip = [[
  -4 -6 -0 -j -json -p -pretty -s -ss -stats -statistics -d -details -o -oneline -br -brief -c? -color? -h
  -human -iec -N -Numeric -r -resolve -ts -tshort -f= -family= -n= -netns=]]
verbs("ip", ip, [[
  addr show, address show, addr list, addr ls, link show, link list, link ls, route show, route list,
  route ls, route get, neigh show, neigh list, rule show, rule list, maddr show, a show, l show, r show, n
  show, r get]], "…", { whole = true })
verbs("ip", ip, "addr, address, a, link, l, route, r, neigh, n, rule", "", { whole = true })
reads("iptables ip6tables", [[
  -S -L -n -v -x -t= -w --list-rules --list --numeric --verbose --exact --line-numbers --table= --wait …]],
  { needs = { "-S -L --list --list-rules" }, operand = "^[%w][%w_%-]*$" })
verbs("openssl", "", "x509", [[
  -in= -inform= -noout -text -subject -issuer -dates -startdate -enddate -serial -fingerprint -sha1
  -sha256 -pubkey -modulus -purpose -email -hash -subject_hash -issuer_hash -alias -ocsp_uri -checkend=
  -checkhost= -checkip= -checkemail= -ext= -nameopt= -certopt=]], { whole = true })
verbs("openssl", "", "s_client", [[
  -connect= -host= -port= -servername= -noservername -showcerts -CAfile= -CApath= -cert= -key= -starttls=
  -xmpphost= -name= -tls1 -tls1_1 -tls1_2 -tls1_3 -brief -verify= -verify_return_error -verify_hostname=
  -status -alpn= -cipher= -ciphersuites= -sigalgs= -curves= -groups= -4 -6 -prexit -crlf -quiet
  -no_ign_eof -nocommands -proxy= -bind= -state -debug -msg]], { whole = true })
reads("nginx", "-t -T -q -v -V -h", { needs = { "-t -T -v -V -h" } })
reads("postqueue", "-p -j", { needs = { "-p -j" } })
-- NAME=VALUE sets it, with -e or without.
reads("postconf", "-d -n -h -H -f -x -m -l -a -A -M -F -P -p", { operand = "^[%w_][%w_./*%-]*$" })
-- It takes each line of a -c as a command of its own.
reads("vtysh", "-c= -d=", { needs = { "-c" }, values = { ["-c"] = "^show [%w ./:_,%-]+$" } })

------------------------------------------------------ Databases, clusters --

reads("pg_isready", "-h= -p= -d= -U= -t= -q --host= --port= --dbname= --username= --timeout= --quiet …")
reads("pg_controldata", "-D= --pgdata= …")
verbs("patronictl", "-c= -d= -k --config-file= --dcs-url= --dcs= --insecure", "list, topology, history, show-config",
  "-e -t -W -f= -w= --extended --timestamp --watch= --format= --group= …")
local etcd = [[
  -w= --write-out= --endpoints= --cacert= --cert= --key= --user= --password= --command-timeout=
  --dial-timeout= --hex --insecure-skip-tls-verify --insecure-transport? --discovery-srv=]]
verbs("etcdctl", etcd, [[
  endpoint health, endpoint status, endpoint hashkv, member list, alarm list]], "--cluster --rev=")
verbs("etcdctl", etcd, "get", [[
  --prefix --keys-only --count-only --from-key --print-value-only --limit= --rev= --sort-by= --order=
  --consistency= …]])
verbs("rabbitmqctl", [[
  -n= -l -q -s -t= -p= --node= --longnames --quiet --silent --timeout= --vhost= --formatter=
  --no-table-headers]],
  [[
  status, cluster_status, list_queues, list_connections, list_channels, list_consumers]], "--online --offline --local …")
verbs("ceph", "-n= -f= --name= --id= --cluster= --format= --connect-timeout=",
  [[
  status, df, df detail, health, health detail, osd df, osd df tree, osd tree, osd stat, mon stat, pg
  stat, versions]], "")
reads("ceph", [[
  -s --status -f= --format= --id= -n= --name= --cluster= --connect-timeout=]], { needs = { "-s --status" } })
verbs("vault", "", "status", [[
  -address= -format= -namespace= -ca-cert= -ca-path= -tls-server-name= -tls-skip-verify]], { whole = true })
verbs("consul", "", "members, operator raft list-peers", [[
  -http-addr= -token= -datacenter= -namespace= -partition= -ca-file= -ca-path= -tls-server-name=
  -detailed? -wan? -status= -segment= -stale? -filter=]], { whole = true })
reads("kafka-topics.sh kafka-topics", [[
  --describe --list --topic= --bootstrap-server= --zookeeper= --exclude-internal
  --under-replicated-partitions --unavailable-partitions --under-min-isr-partitions
  --at-min-isr-partitions --topics-with-overrides]], { needs = { "--describe --list" } })
local restic = [[
  -r= -p= -q -v --repo= --repository-file= --password-file= --no-lock --no-cache --json --quiet --verbose?
  --cacert= --tls-client-cert= --retry-lock= --limit-download= --limit-upload= --key-hint=]]

-- rclone is a program that a repository's address can name, and ssh one that takes options from it.
local function starts_nothing(seen)
  for _, name in ipairs { "-r", "--repo" } do
    for _, value in ipairs(seen[name] or {}) do
      if value:find "^rclone:" or value:find "^sftp:.*%-o" then return false end
    end
  end
  return true
end

verbs("restic", restic, "check", "--read-data --read-data-subset=", { needs = { "--no-lock" }, check = starts_nothing })
verbs("restic", restic, "snapshots", [[
  -H= -c -g= --host= --compact --latest= --tag= --path= --group-by= …]], { check = starts_nothing })
verbs("restic", restic, "list", "…", { check = starts_nothing, operand = "^%l+$" })

-- An operation's own options are its parameters; those of the program itself are these, and no others.
local aws = [[
  --profile= --region= --output= --query= --endpoint-url= --no-cli-pager --no-paginate --no-sign-request
  --color= --page-size= --max-items= --starting-token= --cli-read-timeout= --cli-connect-timeout=]]
local not_of_operations = { "--cli-input-json", "--cli-input-yaml", "--cli-auto-prompt", "--cli-binary-format", "--debug",
                            "--ca-bundle", "--generate-cli-skeleton" }
local function is_parameter(option, operands)
  for _, name in ipairs(not_of_operations) do if name:sub(1, #option) == option then return false end end
  return #operands >= 2 and option:find "^%-%-%l[%w%-]*$" ~= nil
end

local function asks_aws(_, operands)
  local operation = operands[2] or ""
  return operands[1] ~= "configure"
    and (operation:find "^describe%-" or operation:find "^list%-" or operation:find "^lookup%-") ~= nil
end
reads("aws", aws .. " …", { check = asks_aws, own = is_parameter })

local helm = "-n= --namespace= --kube-context= --kube-apiserver= --burst-limit="
verbs("helm", helm, "list, ls", [[
  -A -a -d -r -q -f= -l= -m= -o= --all-namespaces --all --date --reverse --short --filter= --selector=
  --max= --offset= --output= --deployed --failed --pending --superseded --uninstalled --uninstalling
  --time-format= --no-headers]])
verbs("helm", helm, "status, history", "-o= --output= --revision= --max= --show-resources --show-desc …")

local kubectl = [[
  -n= -s= --namespace= --context= --cluster= --user= --server= --request-timeout= --as= --as-group=
  --as-uid= --tls-server-name= --insecure-skip-tls-verify? -v= --v=]]
verbs("kubectl", kubectl, "get", [[
  -A -w -o= -l= -L= --all-namespaces? --watch? --watch-only? --output= --selector= --field-selector=
  --label-columns= --show-labels? --show-kind? --show-managed-fields? --sort-by= --no-headers?
  --ignore-not-found? --chunk-size= --subresource= --template= …]])
verbs("kubectl", kubectl, "describe", "-A -l= --all-namespaces? --selector= --show-events? --chunk-size= …")
verbs("kubectl", kubectl, "logs", [[
  -f -p -c= -l= --follow? --previous? --container= --selector= --all-containers? --tail= --since=
  --since-time= --timestamps? --prefix? --limit-bytes= --max-log-requests= --ignore-errors?
  --pod-running-timeout= …]])
verbs("kubectl", kubectl, "top", [[
  -A -l= --all-namespaces? --containers? --no-headers? --selector= --sort-by= --sum?
  --use-protocol-buffers? …]])
verbs("kubectl", kubectl, "version, api-resources, api-versions, cluster-info", [[
  -o= --output= --client? --short? --namespaced? --verbs= --api-group= --no-headers? --sort-by= --cached?]])
verbs("kubectl", kubectl, "rollout status, rollout history", [[
  -w -l= -o= --watch? --revision= --timeout= --output= --selector= …]])
verbs("kubectl", kubectl, "auth can-i, auth whoami", [[
  -A -q -o= --all-namespaces? --list? --no-headers? --subresource= --quiet? --output= …]])

-- A host over ssh would start ssh; info asks every plugin, which are programs.
local docker = "-H= --host= --context= -l= --log-level="
local function not_ssh(seen)
  for _, name in ipairs { "-H", "--host" } do
    for _, value in ipairs(seen[name] or {}) do
      if not (value:find "^unix://" or value:find "^tcp://") then return false end
    end
  end
  return true
end
for _, it in ipairs {
  { "ps", "-a -l -q -s -f= -n= --all --latest --quiet --size --filter= --format= --last= --no-trunc" },
  { "inspect", "-s -f= --size --format= --type= …" },
  { "logs", "-f -t -n= --follow --timestamps --tail= --since= --until= --details …" },
  { "images", "-a -q -f= --all --quiet --digests --filter= --format= --no-trunc --tree …" },
  { "version", "-f= --format=" }, { "top", "-* …" }, { "port, diff", "…" },
  { "system df", "-v --verbose --format=" },
  { "network ls, volume ls", "-q -f= --quiet --filter= --format= --no-trunc" },
  { "image ls, container ls", "-a -q -f= --all --quiet --filter= --format= --no-trunc …" },
  { "image inspect, container inspect, network inspect, volume inspect", "-f= --format= …" },
} do
  verbs("docker podman", docker, it[1], it[2], { check = not_ssh })
end

------------------------------------------------------------- Services, logs --

local systemd = [[
  -a -l -n= -o= -p= -q -r -t= --all --full --lines= --output= --property= --quiet --recursive --type=
  --state= --failed --value --no-legend --legend= --no-pager --no-ask-password --plain --reverse --after
  --before --with-dependencies --system --user --timestamp= --show-types]]
verbs("systemctl", systemd, [[
  status, show, is-active, is-failed, is-enabled, is-system-running, cat, list-units, list-unit-files,
  list-timers, list-sockets, list-jobs, list-dependencies]], "…")
reads("systemctl", systemd, { needs = { "--failed" } })
verbs("timedatectl", "-a -p= --all --property= --value --no-pager", "status, show, timesync-status, show-timesync", "")
reads("journalctl", [[
  -a -b? -e -f -g= -k -l -N -n= -o= -p= -q -r -t= -T= -u= -x -D= -F= -S= -U= -c= -5 --all --boot?
  --catalog --dmesg --follow --grep= --case-sensitive? --identifier= --facility= --lines? --list-boots
  --header --fields --field= --no-full --full --no-hostname --no-pager --no-tail --output=
  --output-fields= --pager-end --priority= --quiet --reverse --since= --until= --unit= --user-unit= --utc
  --user --system --directory= --file= --disk-usage --show-cursor --cursor= --after-cursor= --merge
  --truncate-newline …]])

--------------------------------------------------------------------- Code --

-- A repository's settings can name programs for a signature, for the text of a binary file, for a comparison: git runs none
-- of them under these three, for a format that asks for no signature, and without the patch itself. Not `git status` and
-- `git diff`: they write the index.
local SAFE = { "--no-textconv", "--no-show-signature", "--no-ext-diff" }
local named_formats = { oneline = true, short = true, medium = true, full = true, fuller = true, reference = true, raw = true }

-- Without one the repository's own format is taken; %G asks gpg.
local function has_plain_format(seen)
  local plain = seen["--oneline"] ~= nil
  for _, name in ipairs { "--format", "--pretty" } do
    for _, value in ipairs(seen[name] or {}) do
      if value:find "%%[+%- ]?G" or not (named_formats[value] or value:find "%%") then return false end
      plain = true
    end
  end
  return plain
end

local git = "-C= -P --no-pager --git-dir= --work-tree= --bare --no-optional-locks --no-replace-objects"
local log = [[
  -n= -5 -s -i -E -F --oneline --format= --pretty= --abbrev? --abbrev-commit --no-abbrev-commit --date=
  --decorate? --no-decorate --graph --reverse --all --branches? --tags? --remotes? --max-count= --skip=
  --since= --after= --until= --before= --author= --committer= --grep= --no-merges --merges --first-parent
  --follow --name-only --name-status --no-patch --no-color --no-notes --no-textconv --no-show-signature
  --no-ext-diff …]]
verbs("git", git, "log", log, { needs = SAFE, check = has_plain_format })
verbs("git", git, "show", log, { needs = { SAFE[1], SAFE[2], SAFE[3], "-s --no-patch --name-only --name-status" },
  check = has_plain_format })
verbs("git", git, "rev-parse", [[
  --short? --verify --quiet -q --abbrev-ref? --show-toplevel --git-dir --is-inside-work-tree --symbolic
  --symbolic-full-name …]])

return list
