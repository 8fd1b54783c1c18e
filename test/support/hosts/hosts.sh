#!/usr/bin/env bash
# Hosts for tests: real systemd as process 1, each with a name, a network, a journal and folders of its own, on one machine.
# Needs root, systemd-container, debootstrap and iproute2.
#
#   hosts.sh image                  makes the image, or finds it (ROLLCALL_IMAGE, kept between runs)
#   hosts.sh up NAME NUMBER FOLDER… boots NAME at NETWORK.NUMBER, with each FOLDER visible inside, read-only
#   hosts.sh run NAME COMMAND…      runs a command inside
#   hosts.sh off NAME               shuts down in order; what it wrote stays for the next boot
#   hosts.sh cut NAME               cuts the power; what it wrote stays for the next boot
#   hosts.sh clear                  takes everything of this run away: hosts, network, files
#
# State of one run is below ROLLCALL_HOSTS, its bridge and control groups are named after ROLLCALL_HOSTS_TAG.
set -euo pipefail

image=${ROLLCALL_IMAGE:-${XDG_CACHE_HOME:-$HOME/.cache}/rollcall-hosts/debian-12}
state=${ROLLCALL_HOSTS:?names the folder of this run}
tag=${ROLLCALL_HOSTS_TAG:?names this run, at most 6 letters}
network=${ROLLCALL_HOSTS_NETWORK:-10.88.0}
bridge="br$tag"
packages=systemd,systemd-sysv,dbus,iproute2,procps,libstdc++6,ca-certificates

say() { echo "hosts: $*" >&2; }

make_image() {
  if [ -f "$image/.complete" ] && [ "$(cat "$image/.complete")" = "$packages" ]; then return; fi
  command -v debootstrap >/dev/null || { say 'debootstrap is missing: apt-get install debootstrap systemd-container iproute2'; exit 1; }
  say "making the image in $image, which takes some minutes"
  rm -rf "$image"; mkdir -p "$image"
  local mirror
  mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -1)
  [ -n "$mirror" ] || mirror=$(awk '$1 == "deb" { print $2; exit }' /etc/apt/sources.list 2>/dev/null)
  debootstrap --variant=minbase --include="$packages" bookworm "$image" "${mirror:?no Debian mirror is named in /etc/apt}" >&2
  # Nothing that runs by the clock, no logins, no waiting at the end.
  local unit
  for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer getty@tty1.service console-getty.service; do
    ln -sf /dev/null "$image/etc/systemd/system/$unit"
  done
  mkdir -p "$image/etc/systemd/journald.conf.d"
  printf '[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\n' > "$image/etc/systemd/journald.conf.d/test.conf"
  : > "$image/etc/machine-id"
  rm -f "$image/etc/hostname"
  echo "$packages" > "$image/.complete"
}

# The trees of control groups that systemd inside a host writes to: one on a machine of today, two on an older layout.
group_trees() {
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then echo /sys/fs/cgroup; return; fi
  local tree
  for tree in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do [ -d "$tree" ] && echo "$tree"; done
}

make_network() {
  local name=$1 number=$2
  exec 9> "$state/.lock"; flock 9
  if ! ip link show "$bridge" >/dev/null 2>&1; then
    ip link add "$bridge" type bridge
    ip address add "$network.254/24" dev "$bridge"
    ip link set "$bridge" up
  fi
  if [ ! -e "/run/netns/$tag-$name" ]; then
    ip netns add "$tag-$name"
    ip link add "$tag$number" type veth peer name host0 netns "$tag-$name"
    ip link set "$tag$number" master "$bridge" up
    ip -n "$tag-$name" address add "$network.$number/24" dev host0
    ip -n "$tag-$name" link set host0 up
    ip -n "$tag-$name" link set lo up
  fi
  exec 9>&-
}

boot() {
  local name=$1 number=$2; shift 2
  local home=$state/$name tree
  mkdir -p "$home"/{upper,work,system}
  make_network "$name" "$number"
  mountpoint -q "$home/system" || mount -t overlay overlay -o "lowerdir=$image,upperdir=$home/upper,workdir=$home/work" "$home/system"
  echo "$name" > "$home/system/etc/hostname"
  install -D -m 755 "$(readlink -f "$(command -v node)")" "$home/system/usr/local/bin/node"
  local binds=() folder
  for folder in "$@"; do binds+=("--bind-ro=$folder"); done
  # A place of its own in every tree: hosts that share one take each other's processes for their own.
  for tree in $(group_trees); do mkdir -p "$tree/$tag/$name"; done
  (
    for tree in $(group_trees); do echo $BASHPID > "$tree/$tag/$name/cgroup.procs"; done
    UNIFIED_CGROUP_HIERARCHY=1 exec setsid systemd-nspawn --quiet --keep-unit --register=no --boot --directory="$home/system" \
      --machine="$name" --network-namespace-path="/run/netns/$tag-$name" --link-journal=no --resolv-conf=off --timezone=off \
      --console=pipe "${binds[@]}" < /dev/null > "$home/console" 2>&1
  ) &
  echo $! > "$home/nspawn"
  wait_for_system "$name"
}

# Process 1 of the host, seen from outside.
leader_of() {
  local child
  for child in $(cat /proc/"$(cat "$state/$1/nspawn")"/task/*/children 2>/dev/null); do
    if [ "$(cat "/proc/$child/comm" 2>/dev/null)" = systemd ]; then echo "$child"; return; fi
  done
  return 1
}

wait_for_system() {
  local name=$1 tries answer
  for tries in $(seq 1 600); do
    if leader_of "$name" > "$state/$name/leader"; then
      answer=$(run "$name" systemctl is-system-running 2>/dev/null || true)
      case $answer in running|degraded) return;; esac
    fi
    sleep 0.1
  done
  say "$name did not come up"; cat "$state/$name/console" >&2; exit 1
}

run() {
  local name=$1; shift
  exec_in=(nsenter --target "$(cat "$state/$name/leader")" --mount --uts --ipc --net --pid --cgroup --root --wd)
  "${exec_in[@]}" -- /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root TERM=dumb "$@"
}

# $2: the signal that ends it, to process 1.
end() {
  local name=$1 signal=$2 home=$state/$1 tries
  [ -f "$home/nspawn" ] || return 0
  local nspawn leader; nspawn=$(cat "$home/nspawn"); leader=$(cat "$home/leader" 2>/dev/null || true)
  [ -n "$leader" ] && [ -d "/proc/$leader" ] && kill -s "$signal" "$leader" 2>/dev/null || true
  for tries in $(seq 1 900); do [ -d "/proc/$nspawn" ] || break; sleep 0.1; done
  if [ -d "/proc/$nspawn" ]; then kill -KILL "$leader" "$nspawn" 2>/dev/null || true; sleep 0.2; fi
  rm -f "$home/nspawn" "$home/leader"
  umount "$home/system" 2>/dev/null || umount --lazy "$home/system" 2>/dev/null || true
}

clear_all() {
  local home name tree link
  for home in "$state"/*/; do
    [ -d "$home" ] || continue
    name=$(basename "$home")
    end "$name" KILL
    ip netns delete "$tag-$name" 2>/dev/null || true
  done
  for link in $(ip -o link show | sed -n "s/^[0-9]*: \\($tag[0-9]*\\)@.*/\\1/p"); do ip link delete "$link" 2>/dev/null || true; done
  ip link delete "$bridge" 2>/dev/null || true
  for tree in $(group_trees); do
    [ -d "$tree/$tag" ] && find "$tree/$tag" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
  rm -rf "$state"
}

case ${1:-} in
image) make_image ;;
up) shift; boot "$@" ;;
run) shift; run "$@" ;;
off) end "$2" RTMIN+4 ;;
cut) end "$2" KILL ;;
clear) clear_all ;;
*) sed -n '2,14p' "$0" >&2; exit 2 ;;
esac
