# What is done on a server's own machine. It is sent as one argument of `sh -c`; nothing has to be installed there.
#
#   on_host <verb> <data directory> <port> <bin directory or ''> <configuration file or ''> [more]
#
# Exit codes of its own: 20 this is not the server that is meant, 21 not in the state that the verb needs,
# 22 something is missing here, 23 it was done in part. Anything else is what PostgreSQL's program returned.
set -u
umask 077
verb=$1 data=$2 port=$3 bin=$4 config=$5
shift 5
keep=$data.tideover-settings # the server's own configuration while its directory is rebuilt
fresh=$data.tideover-new     # a base backup that is being taken
old=$data.tideover-old       # what the base backup replaced
broken=$data.tideover-broken # present while the directory may be half rewound, and so must not be started

refuse() {
    code=$1
    shift
    echo "$*" >&2
    exit "$code"
}

find_programs() {
    if [ ! -e "$data" ] && [ -e "$old" ]; then refuse 22 "$data was being exchanged: mv $old $data"; fi
    [ -r "$data/PG_VERSION" ] || refuse 22 "$data is not a data directory that $(id -un) can read"
    version=$(cat "$data/PG_VERSION")
    on_path=$(command -v pg_ctl 2>/dev/null || true)
    for place in "$bin" "/usr/lib/postgresql/$version/bin" "/usr/pgsql-$version/bin" "${on_path%/*}"; do
        if [ -n "$place" ] && [ -x "$place/pg_ctl" ]; then
            bin=$place
            return
        fi
    done
    refuse 22 "the programs of PostgreSQL $version were not found: set bin_directory"
}

runs() {
    said=$("$bin/pg_ctl" status -D "$data" 2>&1)
    case $? in
    0) return 0 ;;
    3) return 1 ;;
    *) refuse 22 "cannot tell whether a server runs on $data: $(echo "$said" | head -n 1)" ;;
    esac
}

control() { "$bin/pg_controldata" -D "$data" | sed -n "s/^$1: *//p"; }

must_not_run() { if runs; then refuse 21 "a server runs on $data"; fi; }

one_at_a_time() { # the lock is given back when this script ends; a server started from it must not inherit it
    exec 9>"$data.tideover-lock" || refuse 22 "the directory above $data cannot be written by $(id -un)"
    flock -n 9 || refuse 21 "another stop, start or rebuild of $data has not ended"
}

durable() { sync "$@" 2>/dev/null || sync; }

latch() {
    touch "$data/standby.signal" || refuse 23 "standby.signal cannot be written to $data: it could start as a primary"
    durable "$data/standby.signal" "$data"
}

unlatch() {
    rm -f "$data/standby.signal" "$data/recovery.signal"
    durable "$data"
}

start() {
    set -- start -s -w -t "$1" -D "$data" -l "$data/tideover.log"
    if [ -n "$config" ]; then set -- "$@" -o "-c config_file='$config'"; fi
    "$bin/pg_ctl" "$@" 9>&- || {
        code=$?
        grep -E 'FATAL|PANIC' "$data/tideover.log" | tail -n 1 >&2
        return "$code"
    }
}

look() {
    # The order matters: where nothing runs now, the control file is at rest.
    if runs; then echo "running=yes"; else echo "running=no"; fi
    if [ -e "$data/standby.signal" ]; then echo "latched=yes"; fi
    if [ -e "$broken" ]; then echo "broken=yes"; fi
    "$bin/pg_controldata" -D "$data"
}

stop() { # <server process that serves our session> <seconds>
    postmaster=$(sed -n 1p "$data/postmaster.pid" 2>/dev/null)
    parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null)
    if [ -z "$postmaster" ] || [ "$postmaster" != "$parent" ]; then
        refuse 20 "the server on port $port does not run on $data of this machine"
    fi
    "$bin/pg_ctl" stop -s -m fast -w -t "$2" -D "$data" && latch
}

settle() { # a crashed server ends as one that was shut down
    case $(control "Database cluster state") in
    "shut down" | "shut down in recovery") latch ;;
    "in archive recovery") latch && start "$1" && "$bin/pg_ctl" stop -s -m fast -w -t "$1" -D "$data" ;;
    *) recover ;;
    esac
}

keep_settings() { # pg_rewind and pg_basebackup bring the upstream's
    if [ -e "$broken" ]; then return; fi
    rm -rf "$keep" && mkdir "$keep" || exit 22
    for file in "$data"/*.conf "$data"/conf.d "$data"/*.crt "$data"/*.key "$data"/*.pem; do
        if [ -e "$file" ]; then cp -a "$file" "$keep/" || exit 22; fi
    done
}

own_settings() { # <directory>; our settings again, and whom to follow: the rest of stdin
    for file in "$keep"/*; do # one by one: the directory's own permissions stay as they are
        if [ -e "$file" ]; then cp -a "$file" "$1/" || exit 22; fi
    done
    touch "$keep/postgresql.auto.conf"
    {
        grep -Ev '^[[:space:]]*(primary_conninfo|primary_slot_name|recovery_target[a-z_]*)[[:space:]]*=' \
            "$keep/postgresql.auto.conf"
        cat
    } >"$1/postgresql.auto.conf"
    : >"$1/standby.signal"
    rm -f "$1/recovery.signal" "$1/tideover.log"
    durable "$1/postgresql.auto.conf" "$1/standby.signal" "$1"
}

recover() { # pg_rewind wants a clean shutdown; single-user mode refuses standby.signal, and takes no connections
    set -- --single -D "$data"
    if [ -n "$config" ]; then set -- "$@" -c config_file="$config"; fi
    unlatch
    "$bin/postgres" "$@" template1 </dev/null >/dev/null
    ended=$?
    latch
    [ "$ended" = 0 ] || refuse 1 "the crashed server could not recover"
}

read_source() { # two lines of stdin, so that no password stands in a list of processes
    IFS= read -r source
    IFS= read -r PGPASSWORD
    export PGPASSWORD
    if [ -z "$PGPASSWORD" ]; then unset PGPASSWORD; fi
}

rewind() {
    read_source
    rewind_limit=$1
    [ ! -e "$broken" ] || refuse 21 "an earlier rewind was broken off: only a base backup helps"
    keep_settings
    settle "$rewind_limit"
    set -- -D "$data" --source-server="$source" --no-ensure-shutdown
    if [ -n "$config" ] && [ "$version" -ge 15 ]; then set -- "$@" --config-file="$config"; fi
    if "$bin/pg_rewind" "$@" --dry-run; then
        : >"$broken"
        durable "$broken"
        "$bin/pg_rewind" "$@" || exit 1
    else
        exit 1
    fi
    own_settings "$data"
    rm -f "$broken"
}

backup() {
    read_source
    keep_settings
    rm -rf "$fresh"
    "$bin/pg_basebackup" -D "$fresh" -d "$source" -X stream -c fast || exit 1
    own_settings "$fresh"
    if [ -e "$old" ]; then rm -rf "$data"; else mv "$data" "$old" || exit 1; fi
    mv "$fresh" "$data" || exit 1
    rm -f "$broken"
}

find_programs
case $verb in
look) look ;;
stop) one_at_a_time && stop "$@" ;;
halt) one_at_a_time && "$bin/pg_ctl" stop -s -m fast -w -t "$1" -D "$data" && latch ;;
settle) one_at_a_time && must_not_run && settle "$1" ;;
start_primary | start_standby)
    one_at_a_time
    must_not_run
    [ ! -e "$broken" ] || refuse 21 "a rewind of $data was broken off: rebuild it before it is started"
    if [ "$verb" = start_primary ]; then unlatch; else latch; fi
    start "$1"
    ;;
rewind | backup) one_at_a_time && must_not_run && "$verb" "$@" ;;
discard) one_at_a_time && rm -rf "$old" "$keep" "$fresh" ;;
*) refuse 22 "unknown verb $verb" ;;
esac
