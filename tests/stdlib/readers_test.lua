-- Which runs are reads: by program, verb and every option; through sudo and env; with which variables.
local readers = require "effects.readers"
local settings = require "settings"
local values = require "values"

-- A word is what stands between blanks, or between apostrophes.
local function words(text)
  local list = {}
  local at = 1
  while true do
    at = text:find("%S", at)
    if not at then return list end
    local word, after = text:match("^'([^']*)'()", at)
    if not word then word, after = text:match("^(%S+)()", at) end
    list[#list + 1], at = word:gsub("\\n", "\n"), after
  end
end

local function is(wanted, text, env, has_input)
  local got = readers.reads(words(text), env, has_input)
  if got ~= wanted then error(("%s: %s expected"):format(text, wanted and "a read" or "no read"), 2) end
end

local function each(wanted, list)
  for line in list:gmatch "[^\n]+" do
    local text = line:match "^%s*(.-)%s*$"
    if text ~= "" then is(wanted, text) end
  end
end

each(true, [[
  df
  df -h /var
  df -B1 --output=source,pcent /
  /usr/bin/df -h
  du -sh /var
  du -xd1 /var
  free -b
  uptime
  vmstat 1 2
  ps aux
  ps -eo pid,comm --sort=-rss
  pgrep -fa java
  lsof -i :5432
  lsof -nP -iTCP -sTCP:LISTEN
  lsof +D /var/log
  ls -la /
  stat -c %s /x
  cat /etc/hosts
  tail -n 100 /var/log/syslog
  tail -100 /x
  head -5 /x
  grep -c x /y
  find / -name '*.log' -size +1M -mtime -1 -printf %p
  find /a ( -name a -o -name b ) ! -empty -print0
  date
  date +%s
  date -u
  date -Iseconds
  date -d yesterday +%F
  hostname
  hostname -f
  sysctl vm.swappiness
  sysctl -n net.ipv4.ip_forward
  dmesg -T
  dmesg --level=err,warn
  swapon --show
  swapon --show=NAME,SIZE --noheadings
  chronyc tracking
  chronyc -n sources -v
  ss -tlnp
  ss -s
  netstat -tln
  netstat -rn
  dig +short example.com
  host example.com
  ping -c 3 -W1 192.0.2.1
  ip addr
  ip a
  ip -j addr show
  ip -br -4 addr show dev eth0
  ip addr show eth0
  ip route show
  ip -s link
  ip route get 192.0.2.1
  iptables -S INPUT
  iptables -S -t nat
  iptables -nvL
  pg_isready -h db1
  pg_controldata /var/lib/postgresql/15/main
  pg_controldata -D /x
  patronictl list
  patronictl -c /etc/patroni.yml list -f json
  etcdctl endpoint health
  etcdctl --endpoints=http://a:1 endpoint status -w table
  etcdctl get /key --prefix
  etcdctl member list
  systemctl status nginx
  systemctl --no-pager status nginx
  systemctl --user status x
  systemctl is-active nginx
  systemctl list-units --failed
  systemctl --failed
  systemctl show -p NRestarts --value nginx
  journalctl -u nginx -n 50 --since -1h
  journalctl -b -1 -p err --no-pager
  journalctl --disk-usage
  git log --oneline -5 --no-textconv --no-show-signature --no-ext-diff
  git -C /srv/app log --format=%h --no-textconv --no-show-signature --no-ext-diff
  git show --no-textconv --no-show-signature --no-ext-diff --oneline --name-only HEAD
  git -C /x rev-parse HEAD
  kubectl get pods -n conduit -o json
  kubectl -n x get pods
  kubectl --context=prod --namespace=x get deploy api -o=yaml
  kubectl logs x --previous --tail=100
  kubectl rollout status deployment/x
  kubectl -n x rollout history deployment/x
  kubectl auth can-i get pods
  docker ps -a
  docker ps -lq
  docker inspect x
  docker -H unix:///x ps
  docker --context prod logs --tail 10 api
  docker system df
  docker top api -o pid
  openssl x509 -in /c -noout -enddate
  openssl s_client -connect db:443 -servername db
  helm list -A
  helm -n x status api -o json
  aws ec2 describe-instances --instance-ids i-1 i-2 --output json
  aws --region eu-west-1 s3api list-objects-v2 --bucket b --query Contents[].Key
  aws cloudtrail lookup-events --max-items 5
  nginx -t
  nginx -T -q
  dpkg-query -W
  dpkg-query -W -f=${Version} nginx
  rpm -q nginx
  rpm -qa
  rpm -qi nginx
  rpm --query --all --last
  rpm -q --qf %{VERSION} nginx
  smartctl -H /dev/sda
  smartctl -A -i -d sat /dev/sda
  ceph -s
  ceph status -f json
  ceph health detail
  ceph df
  ceph osd df tree
  ceph osd tree
  vault status
  vault status -format=json
  kafka-topics.sh --bootstrap-server a:9092 --describe --topic t
  restic -r /b check --no-lock
  restic snapshots --json
  restic --repo s3:http://h/b list locks
  postqueue -p
  postqueue -j
  postconf
  postconf -n
  postconf myhostname mynetworks
  vtysh -c 'show ip bgp summary'
  vtysh -c 'show version' -c 'show interface brief'
  consul members
  consul operator raft list-peers
  consul members -http-addr=http://a:8500
  mdadm --detail /dev/md0
  mdadm --detail --scan
  zpool status
  zpool status -vx tank
  zfs list -Ho name
  zpool list
  sudo -n df -h
  sudo -n -u postgres pg_controldata -D /x
  sudo -n -upostgres -- df
  env df
  env LANG=C TZ=UTC df
  env PAGER= git rev-parse HEAD
  sudo -n env LC_ALL=C sudo -n df
  env
  env ETCDCTL_API=3 etcdctl endpoint health
]])

each(false, [[
  rm x
  sh -c df
  bash -c true
  sudo df
  sudo -n
  sudo -n -s df
  sudo -n -i
  sudo -n -E df
  sudo -n -u
  sudo -n rm x
  sudo -n -u x sh
  env -S df
  env -i df
  env -C / df
  env PATH=/x df
  env LD_PRELOAD=/x df
  env PAGER=/x git rev-parse HEAD
  env GIT_SSH=/x df
  env RESTIC_PASSWORD_COMMAND=/x restic snapshots
  env rm x
  env LANG=C rm x
  xargs df
  nice df
  time df
  watch df
  timeout 5 df
  ./df
  /tmp/df -h
  bin/df
  /usr/bin/../../tmp/df
  DF
  df --sync
  df --sy
  df --out=x
  date -s 12:00
  date 112410002026
  date --set=12:00
  date -u 1124
  hostname newname
  hostname -F /x
  hostname -b
  sysctl -w vm.swappiness=1
  sysctl vm.swappiness=1
  sysctl -n vm.swappiness=1
  sysctl -p
  sysctl --system
  dmesg -C
  dmesg -c
  dmesg --clear
  dmesg --read-clear
  dmesg --cle
  dmesg -Tc
  dmesg -n 1
  ss -K dst 192.0.2.1
  ss -tK
  ss --kill
  ss --ki
  ss -D /x
  ss -tD /x
  lsof -D b
  lsof +m
  ping -f 192.0.2.1
  ping -i 0 192.0.2.1
  ping -c3 -b 192.0.2.255
  ip addr add 192.0.2.1/24 dev eth0
  ip route add default via 192.0.2.1
  ip link set eth0 down
  ip -b /x
  ip -batch /x addr show
  ip -force addr show
  ip addr flush dev eth0
  ip route flush cache
  ip netns exec x df
  ip a add 192.0.2.1/24 dev eth0
  ip
  iptables -S -Z
  iptables -S --zero
  iptables -LZ
  iptables -nL -F
  iptables -F
  find / -delete
  find / -name x -exec rm {} +
  find / -execdir rm {} ;
  find / -ok rm {} ;
  find / -fprint /x
  find / -fls /x
  find / -name -delete
  sort -o x y
  tee x
  dd if=/x of=/y
  cp a b
  curl http://x
  nc x 1
  ssh x df
  systemctl restart nginx
  systemctl
  systemctl stop nginx
  systemctl status -H other
  systemctl --host other status
  systemctl status --host=other x
  systemctl -M x status
  systemctl --root=/x list-units
  systemctl daemon-reload
  systemctl --failed restart nginx
  systemctl -p restart nginx
  systemctl set-property x y
  journalctl --vacuum-size=1G
  journalctl --vac=1
  journalctl --rotate
  journalctl -n --rotate
  journalctl --flush
  journalctl --cursor-file=/x
  journalctl -u x --rotate
  journalctl --sync
  git push
  git -c core.pager=x log
  git diff
  git status
  git
  git log
  git log --oneline -5
  git log -p --oneline --no-textconv --no-show-signature --no-ext-diff
  git log --no-textconv --no-show-signature --no-ext-diff
  git log --format=%G? --no-textconv --no-show-signature --no-ext-diff
  git log --format=mine --no-textconv --no-show-signature --no-ext-diff
  git log --oneline --no-textconv --no-show-signature --no-ext-diff --show-signature
  git log --oneline --no-textconv --no-show-signature --no-ext-diff --output=/x
  git log --oneline --no-textconv --no-show-signature --no-ext-diff --outp=/x
  git show --oneline --no-textconv --no-show-signature --no-ext-diff
  git -C log push
  git --exec-path=/x log --oneline --no-textconv --no-show-signature --no-ext-diff
  git --paginate rev-parse HEAD
  kubectl delete pod x
  kubectl apply -f x
  kubectl exec x -- ls
  kubectl
  kubectl rollout restart x
  kubectl -n get delete pod x
  kubectl --kubeconfig=/x get pods
  kubectl get -f http://x
  kubectl get --raw /api/v1/nodes/x/proxy/run
  kubectl get -k /x
  kubectl get pods --profile=cpu --profile-output=/x
  kubectl auth reconcile -f x
  kubectl config view
  docker restart x
  docker system prune
  docker -H x ps
  docker -H ssh://x ps
  docker -H ssh://x top c
  docker --host=ssh://x ps
  docker --config /x ps
  docker info
  docker exec x ls
  docker
  docker container prune
  etcdctl put a b
  etcdctl del a
  etcdctl member remove x
  etcdctl alarm disarm
  patronictl failover
  patronictl -c list failover
  openssl x509 -in /c -out /d
  openssl x509 -in /c --out /d
  openssl genrsa
  openssl x509 -engine /x.so
  openssl s_client -connect x -sess_out /y
  openssl s_client -connect x -keylogfile /y
  openssl x509 -req -CAcreateserial
  swapon -a
  swapon --show -a
  timedatectl set-ntp true
  timedatectl -H x status
  nft list ruleset
  chronyc tracking burst
  chronyc makestep
  chronyc -m tracking makestep
  chronyc -h x tracking
  zpool status -c x
  zpool status -vc x
  zpool scrub tank
  helm uninstall x
  helm list --kubeconfig /x
  rabbitmqctl stop
  rabbitmqctl list_queues --printer=file --file=/x
  psql -c SELECT
  aws s3api get-object --bucket b --key k FILE
  aws s3 cp a b
  aws ec2 terminate-instances --instance-ids describe-instances
  aws ec2 describe-instances --cli-input-json file://x
  aws ec2 describe-instances --cli-auto-prompt
  aws ec2 describe-instances --cli-auto
  aws configure list-profiles
  aws
  nginx
  nginx -s stop
  nginx -t -c /x
  nginx -tc /x
  nginx -t -g 'load_module x;'
  nginx -t -p /x
  dpkg-query --admindir=/x -W
  dpkg -i x
  rpm -i x.rpm
  rpm -iq x.rpm
  rpm -qa --pipe cmd
  rpm -q --eval '%(touch x)'
  rpm -q -E '%(touch x)'
  rpm -q -D 'a b' x
  rpm -e x
  rpm -V x
  smartctl -t short /dev/sda
  smartctl -s off /dev/sda
  smartctl -H -s off /dev/sda
  ceph osd out 1
  ceph -c /x status
  ceph osd df plain junk
  ceph -w
  vault read secret/x
  vault status -output-curl-string
  kafka-topics.sh --delete --topic x
  kafka-topics.sh --describe --command-config /x
  kafka-topics.sh --describe --delete
  kafka-topics.sh --topic x
  restic check
  restic -r /b check --no-lock --cleanup-cache
  restic -o sftp.command=/x check --no-lock
  restic --password-command /x snapshots
  restic -r rclone:x:y snapshots
  restic forget
  postqueue -f
  postqueue -p -f
  postqueue -c /x -p
  postqueue -i x
  postconf -e myhostname=x
  postconf myhostname=x
  postconf -c /x
  postconf -X x
  postconf -M# smtp/inet
  vtysh
  vtysh -c 'configure terminal'
  vtysh -c 'show version' -c 'configure terminal'
  vtysh -c 'show version\nconfigure terminal'
  vtysh -c 'show running-config | include x'
  vtysh -f /x
  consul leave
  consul operator raft remove-peer
  mdadm --stop /dev/md0
  mdadm --detail --stop /dev/md0
  mdadm /dev/md0 --fail /dev/sda
  netstat --program=x --kill
  A=B df
]])

-- Variables by the list of allowed ones, with their values.
is(true, "etcdctl endpoint health", { ETCDCTL_API = "3", LC_ALL = "C" })
is(true, "vault status", { VAULT_TOKEN = values.secret("TOKEN", "x") })
is(true, "git rev-parse HEAD", { GIT_PAGER = "" })
for _, name in ipairs { "PATH", "LD_PRELOAD", "GIT_EXTERNAL_DIFF", "PYTHONSTARTUP", "HOME", "BASH_ENV", "KUBECONFIG",
                        "AWS_CONFIG_FILE", "SYSTEMD_PAGER", "LESSOPEN", "DOCKER_HOST", "OPENSSL_CONF",
                        "RESTIC_REPOSITORY", "ANYTHING" } do
  is(false, "df", { [name] = "/x" })
end
is(false, "git rev-parse HEAD", { PAGER = values.secret("TOKEN", "x") })
is(false, "openssl s_client -connect x:80", nil, true)
assert(not readers.reads { "df", values.placeholder "disk" }, "a word that isn't known")
assert(not readers.reads { values.placeholder "program" }, "a program that isn't known")
assert(not readers.reads {}, "nothing")

-- The config's readers, by a program as it is written there, through sudo too.
settings.readers = { { "mytool", "status" }, { "/opt/x/bin/tool", "show" } }
each(true, [[
  mytool status -v
  /usr/bin/mytool status
  /opt/x/bin/tool show
  sudo -n -u app mytool status
]])
each(false, [[
  /tmp/mytool status
  mytool delete
  tool show
  sudo mytool status
]])
settings.readers = {}
local names = table.concat(readers.describe(), ", ")
assert(names:find("ip addr show", 1, true) and names:find("operator raft list-peers", 1, true))
