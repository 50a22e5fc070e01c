#!/bin/bash
# Installs what the end-to-end tests drive, once: real code-server with headless Chromium, and
# real Neovim 0.10 and 0.12 (the ones of Debian 13 and of its successor, each in a folder tree
# of its own). Everything but ordinary distribution packages goes below $WHET_E2E_HOME; a second
# run finds the stamps and ends at once. Needs Debian, and root for what apt does not have yet.
set -euo pipefail

HOME_E2E=${WHET_E2E_HOME:-$HOME/.cache/whet-e2e}
CODE_SERVER=4.139.1
PLAYWRIGHT_CORE=1.65.1
NODE_MAJOR=24
mkdir -p "$HOME_E2E/logs"
HERE=$(cd "$(dirname "$0")" && pwd)

say() { echo "e2e: $*"; }
die() { echo "e2e: $*" >&2; exit 1; }

install_system_packages() {
  # command:package pairs, then the headers code-server's native modules are compiled against.
  local wanted=() pair
  for pair in chromium:chromium debootstrap:debootstrap bwrap:bubblewrap ssh:openssh-client \
    make:build-essential g++:build-essential pkg-config:pkg-config python3:python3 npm:npm; do
    command -v "${pair%%:*}" >/dev/null || wanted+=("${pair##*:}")
  done
  [ -x /usr/sbin/sshd ] || wanted+=(openssh-server)
  for pair in libkrb5-dev libx11-dev libxkbfile-dev libsecret-1-dev; do
    dpkg -s "$pair" >/dev/null 2>&1 || wanted+=("$pair")
  done
  [ ${#wanted[@]} -eq 0 ] && return
  local packages
  packages=$(printf '%s\n' "${wanted[@]}" | sort -u)
  [ "$(id -u)" = 0 ] || die "needs root once, for: apt-get install ${packages//$'\n'/ }"
  say "installing ${packages//$'\n'/ }"
  apt-get update -qq >"$HOME_E2E/logs/apt.log" 2>&1 || true # a third-party list may be down
  # Debian's npm drags in hundreds of packages, so only a machine without any npm gets it.
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages \
    >>"$HOME_E2E/logs/apt.log" 2>&1 || die "apt-get install failed: see $HOME_E2E/logs/apt.log"
}

install_node() {
  local at=$HOME_E2E/node
  if [ ! -x "$at/node_modules/.bin/node" ]; then
    mkdir -p "$at"
    (cd "$at" && echo '{"private": true}' >package.json &&
      npm install --no-audit --no-fund "node@$NODE_MAJOR" "playwright-core@$PLAYWRIGHT_CORE") \
      >"$HOME_E2E/logs/node.log" 2>&1 || die "npm install node failed: see $HOME_E2E/logs/node.log"
  fi
  export PATH=$at/node_modules/.bin:$PATH
  # Headers of this very Node, so that node-gyp downloads none.
  local header
  header=$(find -L "$at/node_modules" -path '*include/node/node.h' -print -quit)
  [ -n "$header" ] || die "the node package came without headers: remove $at and try again"
  export npm_config_nodedir=${header%/include/node/node.h}
}

install_code_server() {
  local at=$HOME_E2E/code-server
  [ -f "$at/.done-$CODE_SERVER" ] && return
  say "installing code-server $CODE_SERVER (two minutes)"
  rm -rf "$at" && mkdir -p "$at"
  (cd "$at" && echo '{"private": true}' >package.json &&
    npm install --no-audit --no-fund --unsafe-perm "code-server@$CODE_SERVER") \
    >"$HOME_E2E/logs/code-server.log" 2>&1 ||
    die "code-server did not build: see $HOME_E2E/logs/code-server.log"
  touch "$at/.done-$CODE_SERVER"
}

debian_mirror() {
  # The one this machine already uses, from either form of apt's lists.
  if [ -n "${WHET_E2E_DEBIAN_MIRROR:-}" ]; then
    echo "$WHET_E2E_DEBIAN_MIRROR"
    return
  fi
  local lists=(/etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources)
  { cat "${lists[@]}" 2>/dev/null || true; } |
    sed -nE 's/^URIs:[[:space:]]*([^[:space:]]+).*/\1/p; s/^deb([[:space:]]+\[[^]]*\])?[[:space:]]+([^[:space:]]+).*/\2/p' |
    grep -E '/debian/?$' | head -n 1
}

install_neovim() { # $1: Debian release
  local root=$HOME_E2E/nvim-$1 mirror
  [ -f "$root/.done" ] && return
  [ "$(id -u)" = 0 ] || die "needs root once, for debootstrap of Neovim into $root"
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || die "no Debian mirror in apt's lists: set WHET_E2E_DEBIAN_MIRROR"
  say "unpacking Neovim of Debian $1 (half a minute)"
  rm -rf "$root"
  # The script of an older release serves: the newest may be unknown to this debootstrap.
  debootstrap --variant=minbase --include=neovim "$1" "$root" "$mirror" \
    /usr/share/debootstrap/scripts/trixie >"$HOME_E2E/logs/nvim-$1.log" 2>&1 ||
    die "debootstrap $1 failed: see $HOME_E2E/logs/nvim-$1.log"
  rm -rf "$root/var/cache/apt/archives"
  touch "$root/.done"
}

install_system_packages
install_node
install_code_server &
code_server=$!
install_neovim trixie &
trixie=$!
install_neovim forky &
forky=$!
failed=0
for job in $code_server $trixie $forky; do wait "$job" || failed=1; done
[ $failed = 0 ] || exit 1
say "ready in $HOME_E2E"
