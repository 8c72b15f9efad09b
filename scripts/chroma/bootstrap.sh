# Makes a machine the Chroma server of a deployment: attaches the deployment's network interface and volume, installs
# Chroma, starts it, and sees to patches, logs and metrics. It is the user data of stacks/chroma.yaml, which puts the
# settings below in front of it, and runs once on each new machine. Running it again changes nothing.
#
# Nothing here needs IPv4 beyond the network of the deployment itself.
set -euo pipefail

: "${AWS_REGION:?}" "${DEPLOYMENT:?}" "${VOLUME_ID:?}" "${INTERFACE_ID:?}" "${CHROMA_VERSION:?}" "${CHROMA_SHA256:?}"
: "${CHROMA_PORT:?}" "${LOG_GROUP:?}" "${PATCH_TIME:?}"
export AWS_REGION AWS_USE_DUALSTACK_ENDPOINT=true AWS_PAGER=""

readonly LABEL=chroma-data MOUNT=/var/lib/chroma HOME_DIR=/opt/chroma
# The same on each machine, because the files on the volume belong to a number.
readonly CHROMA_UID=850
# What an old machine needs to stop Chroma and let go of the volume, and more.
readonly ATTACH_SECONDS=600 DEVICE_SECONDS=120 START_SECONDS=120

instance=$(</var/lib/cloud/data/instance-id)
step="begin"

log() { printf '%s bootstrap: %s\n' "$(date -u +%FT%TZ)" "$*" | tee -a /dev/console; }

# Says why on Chroma's port, where the readiness check of the stack reads it, unless Chroma itself answers there.
fail() {
  trap - EXIT
  log "FAILED: $1"
  systemctl is-active --quiet chroma || systemd-run --quiet --collect --unit=chroma-failed --property=DynamicUser=yes \
    /usr/bin/python3 -I -c '
import http.server, sys
class Reason(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503)
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Reason).serve_forever()' "$CHROMA_PORT" "$1" || true
  exit 1
}
trap '(($? == 0)) || fail "could not $step"' EXIT

# Waits until something is attached to this machine. $1: what it is; $2: prints "<state> <machine>"; $3: attaches it.
attached() {
  local state holder
  for ((waited = 0; waited < ATTACH_SECONDS; waited += 2)); do
    read -r state holder < <("$2" || true) || true
    [[ $holder != "$instance" ]] || return 0
    # Somebody else's until their machine is gone. A call that fails is tried again: it may be early.
    [[ ${state:-} != available ]] || "$3" > /dev/null || log "$1 cannot be attached yet"
    sleep 2
  done
  fail "$1 is still held by ${holder:-nobody} after $ATTACH_SECONDS seconds"
}

interface_state() {
  aws ec2 describe-network-interfaces --network-interface-ids "$INTERFACE_ID" --output text \
    --query 'NetworkInterfaces[0].[Status, Attachment.InstanceId]'
}
attach_interface() {
  aws ec2 attach-network-interface --network-interface-id "$INTERFACE_ID" --instance-id "$instance" --device-index 1
}
volume_state() {
  aws ec2 describe-volumes --volume-ids "$VOLUME_ID" --output text \
    --query 'Volumes[0].[State, Attachments[0].InstanceId]'
}
attach_volume() {
  aws ec2 attach-volume --volume-id "$VOLUME_ID" --instance-id "$instance" --device /dev/sdf
}
volume_origin() {
  aws ec2 describe-volumes --volume-ids "$VOLUME_ID" --output text --query 'Volumes[0].SnapshotId'
}

# The device that has the volume's id as its serial number: names such as /dev/sdf say nothing on Nitro.
device() {
  local found
  for ((waited = 0; waited < DEVICE_SECONDS; waited++)); do
    found=$(lsblk --nodeps --noheadings --paths --output NAME,SERIAL | awk -v id="${VOLUME_ID/-/}" '$2 == id { print $1 }')
    [[ -z $found ]] || break
    sleep 1
  done
  printf '%s' "$found"
}

zero() { cmp --quiet --bytes=1048576 --ignore-initial="$2":0 "$1" /dev/zero; }

# Formats the device if it has never held anything, and refuses what is not Chroma's.
prepare() {
  local found origin status=0
  found=$(blkid --probe --output export --match-tag TYPE --match-tag LABEL --match-tag PTTYPE "$1") || status=$?
  if ((status == 0)); then
    grep -qx "LABEL=$LABEL" <<< "$found" && grep -qx TYPE=ext4 <<< "$found" ||
      fail "$VOLUME_ID holds something else, and is left as it is: $(tr '\n' ' ' <<< "$found")"
    return
  fi
  ((status == 2)) || fail "what $VOLUME_ID holds cannot be told, and is left as it is"
  origin=$(volume_origin)
  [[ $origin == None ]] || fail "$VOLUME_ID comes from a snapshot and holds no file system"
  zero "$1" 0 && zero "$1" $(($(blockdev --getsize64 "$1") - 1048576)) ||
    fail "$VOLUME_ID holds no file system that is known, but is not empty, and is left as it is"
  log "$VOLUME_ID is empty and is formatted"
  mkfs.ext4 -q -m 1 -L "$LABEL" "$1"
  udevadm trigger --settle --action=change "$1"
}

mount_volume() {
  local line="LABEL=$LABEL $MOUNT ext4 noatime,nodev,nosuid,noexec,nofail,x-systemd.growfs,x-systemd.device-timeout=60s 0 2"
  mkdir -p "$MOUNT"
  grep -qxF "$line" /etc/fstab || printf '%s\n' "$line" >> /etc/fstab
  systemctl daemon-reload
  systemctl start "$MOUNT"
  # Two volumes with one label: a copy, attached by somebody who looks for something.
  [[ $(findmnt --noheadings --output SOURCE "$MOUNT") == "$1" ]] || fail "$MOUNT is not $VOLUME_ID"
}

# The wheel alone: its Rust server needs none of the packages of the Python client, and the Python server cannot start
# without them. Kept on the volume, so that another machine needs nobody to become a Chroma server.
install_chroma() {
  local home=$HOME_DIR/$CHROMA_VERSION wheels=$MOUNT/wheels
  [[ ! -e $home/complete ]] || return 0
  rm -rf "$home"
  python3 -m venv "$home"
  printf 'chromadb==%s --hash=sha256:%s\n' "$CHROMA_VERSION" "$CHROMA_SHA256" > "$home/requirements.txt"
  mkdir -p "$wheels"
  pip() {
    "$home/bin/pip" --disable-pip-version-check --quiet "$@" --no-deps --require-hashes --only-binary=:all: \
      --requirement "$home/requirements.txt"
  }
  pip install --no-compile --no-index --find-links "$wheels" 2> /dev/null || {
    for attempt in 1 2 3 4 5; do
      pip download --dest "$wheels" && break
      ((attempt < 5)) || fail "chromadb $CHROMA_VERSION could not be downloaded"
      sleep $((attempt * 5))
    done
    pip install --no-compile --no-index --find-links "$wheels"
  }
  touch "$home/complete"
}

install_unit() {
  getent passwd chroma > /dev/null ||
    useradd --system --uid "$CHROMA_UID" --user-group --home-dir "$MOUNT" --no-create-home --shell /sbin/nologin chroma
  install -d -o chroma -g chroma -m 0700 "$MOUNT/data"
  # Before the unit, whose output goes there before systemd could make it.
  install -d -o chroma -g chroma -m 0750 /var/log/chroma
  ln -sfn "$HOME_DIR/$CHROMA_VERSION" "$HOME_DIR/current"
  cat > /etc/systemd/system/chroma.service <<UNIT
[Unit]
Description=Chroma
Wants=network-online.target
After=network-online.target
RequiresMountsFor=$MOUNT
# Never on the machine's own disk, which ends with the machine.
AssertPathIsMountPoint=$MOUNT
StartLimitIntervalSec=0

[Service]
User=chroma
Group=chroma
ExecStart=$HOME_DIR/current/bin/python -I -c "import sys, chromadb_rust_bindings as c; c.cli(['chroma', *sys.argv[1:]])" run --path $MOUNT/data --host 0.0.0.0 --port $CHROMA_PORT
Environment=NO_COLOR=1
Restart=always
RestartSec=2
# A write that is cut short can leave an index that does not agree with itself.
TimeoutStopSec=120
MemoryHigh=70%
MemoryMax=80%
MemorySwapMax=0
TasksMax=256
LimitNOFILE=65536
StandardOutput=append:/var/log/chroma/server.log
StandardError=inherit
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ReadWritePaths=$MOUNT/data
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
# It is asked, and asks nobody: neither the internet nor the machine's credentials.
IPAddressDeny=any
IPAddressAllow=localhost 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10

[Install]
WantedBy=multi-user.target
UNIT
  systemctl daemon-reload
  systemctl enable --quiet chroma
  systemctl stop chroma-failed 2> /dev/null || true
  systemctl restart chroma
}

answers() { curl --silent --fail --max-time 2 --output /dev/null "http://127.0.0.1:$CHROMA_PORT/api/v2/heartbeat"; }

wait_for_chroma() {
  for ((waited = 0; waited < START_SECONDS; waited++)); do
    ! answers || return 0
    sleep 1
  done
  systemctl stop chroma
  fail "Chroma $CHROMA_VERSION does not start: $(tail -n 3 /var/log/chroma/server.log 2> /dev/null | tr '\n' ' ')"
}

install_session_manager() {
  mkdir -p /etc/amazon/ssm
  echo '{"Agent": {"UseDualStackEndpoint": true}}' > /etc/amazon/ssm/amazon-ssm-agent.json
  systemctl restart amazon-ssm-agent
}

# Amazon Linux 2023 keeps to the release of its image unless it is told otherwise.
install_patches() {
  cat > /etc/systemd/system/security-patches.service <<'UNIT'
[Unit]
Description=Security patches, and a restart where one needs it
[Service]
Type=oneshot
ExecStart=/usr/bin/dnf --assumeyes --security --releasever=latest upgrade
ExecStart=/bin/sh -c '/usr/bin/dnf needs-restarting --reboothint || systemctl reboot'
UNIT
  cat > /etc/systemd/system/security-patches.timer <<UNIT
[Timer]
OnCalendar=$PATCH_TIME
RandomizedDelaySec=30min
Persistent=yes
[Install]
WantedBy=timers.target
UNIT
  systemctl daemon-reload
  systemctl enable --quiet --now security-patches.timer
}

install_monitoring() {
  local configuration=/opt/aws/amazon-cloudwatch-agent/etc/remora.json
  dnf --quiet --assumeyes install amazon-cloudwatch-agent logrotate
  printf '/var/log/chroma/server.log {\n  size 10M\n  rotate 3\n  compress\n  copytruncate\n  missingok\n}\n' \
    > /etc/logrotate.d/chroma
  # One dimension that outlives the machine, so that a graph goes on when the next one takes over.
  local dimensions="\"append_dimensions\": {\"Deployment\": \"$DEPLOYMENT\"}"
  cat > "$configuration" <<JSON
{
  "agent": {"region": "$AWS_REGION", "use_dualstack_endpoint": true, "omit_hostname": true, "metrics_collection_interval": 60},
  "metrics": {
    "namespace": "Remora/Chroma",
    "aggregation_dimensions": [["Deployment"]],
    "metrics_collected": {
      "disk": {"resources": ["$MOUNT"], "measurement": ["used_percent", "used"], "drop_device": true, $dimensions},
      "mem": {"measurement": ["used_percent"], $dimensions},
      "procstat": [{"pattern": "$HOME_DIR/current/bin/python", "measurement": ["memory_rss"], $dimensions}]
    }
  },
  "logs": {
    "logs_collected": {
      "files": {
        "collect_list": [
          {"file_path": "/var/log/chroma/server.log", "log_group_name": "$LOG_GROUP", "log_stream_name": "$instance/server"},
          {"file_path": "/var/log/cloud-init-output.log", "log_group_name": "$LOG_GROUP", "log_stream_name": "$instance/bootstrap"}
        ]
      }
    }
  }
}
JSON
  /opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c "file:$configuration"
}

step="attach the network interface"
attached "$INTERFACE_ID" interface_state attach_interface
step="attach the volume"
attached "$VOLUME_ID" volume_state attach_volume
disk=$(device)
[[ -n $disk ]] || fail "$VOLUME_ID is attached and does not appear"
step="prepare the volume"
prepare "$disk"
step="mount the volume"
mount_volume "$disk"
step="install Chroma $CHROMA_VERSION"
install_chroma
step="start Chroma"
install_unit
wait_for_chroma
log "Chroma $CHROMA_VERSION answers on port $CHROMA_PORT"

# From here on memory works. What fails now is told, and stops nothing.
set +e
install_session_manager || log "FAILED: Session Manager"
install_patches || log "FAILED: security patches"
install_monitoring || log "FAILED: logs and metrics"
log "done"
