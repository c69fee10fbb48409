# Sourced by the other scripts: installs what they need and the machine does not have, and nothing else.
# shellcheck shell=bash

# need PACKAGE=PROGRAM...  PROGRAM is looked up in PATH and among the administrator's; one with a slash is a file of that path.
need() {
    local pair program missing=()
    for pair in "$@"; do
        program=${pair#*=}
        [[ $program == /* && -e $program ]] || PATH=$PATH:/usr/sbin:/sbin type -P "$program" >/dev/null || missing+=("${pair%%=*}")
    done
    if ((${#missing[@]} == 0)); then
        return
    fi
    if ! type -P apt-get >/dev/null; then
        echo "missing, and there is no apt-get to install: ${missing[*]}" >&2
        return 1
    fi
    echo "installing: ${missing[*]}"
    # Peers such as keepalived and frr are for the laboratory; as services of this machine they must not start.
    local policy=/usr/sbin/policy-rc.d ours=
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        ours=yes
    fi
    local status=0
    {
        apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    } </dev/null >/tmp/vrrpd-apt.$$.log 2>&1 || status=$?
    [[ -z $ours ]] || rm -f "$policy"
    if ((status != 0)); then
        cat /tmp/vrrpd-apt.$$.log >&2
        echo "could not install: ${missing[*]}" >&2
    fi
    rm -f /tmp/vrrpd-apt.$$.log
    return "$status"
}

# Rust is the one thing that has to be there already.
need_rust() {
    if ! type -P cargo >/dev/null && [[ -x $HOME/.cargo/bin/cargo ]]; then
        PATH=$HOME/.cargo/bin:$PATH
    fi
    if ! type -P cargo >/dev/null; then
        echo "needs Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer: no cargo in PATH" >&2
        return 1
    fi
    need gcc=cc libc6-dev=/usr/include/stdio.h
}

# Namespaces, raw sockets and packages want root.
need_root() {
    if ((EUID != 0)); then
        echo "$1 needs root: it works in network namespaces of its own" >&2
        return 1
    fi
}
