# Says what starts a server on a data directory when its machine boots. Nothing is changed.
#
#   at_boot <data directory> <configuration file or ''>
#
# A line for each: the unit or script, a tab, the command that ends it. The unit files are read as systemd reads them
# at boot (systemd.unit(5)), not as its running instance knows them: no D-Bus is needed, which our user may not reach,
# and what stands in /run does not count, for it does not survive the power.
set -u
data=$1 config=$2
folders="/etc/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system"

has_systemd() { command -v systemctl >/dev/null; }

wanted() { # each service in the folder of a unit that wants it, which is what enabling does; only <unit> where given
    for folder in $folders; do
        for link in "$folder"/*.wants/${1:-*.service} "$folder"/*.requires/${1:-*.service}; do
            if [ -L "$link" ] || [ -e "$link" ]; then echo "${link##*/}"; fi
        done
    done | sort -u
}

template() { case $1 in *@*) echo "${1%%@*}@.service" ;; esac }

file_of() { # <unit>; the file that counts, behind every link: /dev/null where it is masked
    for name in $1 $(template "$1"); do
        for folder in $folders; do
            if [ -e "$folder/$name" ]; then
                readlink -f "$folder/$name"
                return
            fi
        done
    done
}

can_start() { # <unit>
    found=$(file_of "$1")
    [ -n "$found" ] && [ "$found" != /dev/null ]
}

text_of() { # <unit> <its file>; with the drop-ins, by whatever name it goes
    cat "$2"
    for name in $(printf '%s\n' "$1" "$(template "$1")" "${2##*/}" | sort -u); do
        for folder in $folders; do
            for drop_in in "$folder/$name.d"/*.conf; do
                if [ -e "$drop_in" ]; then cat "$drop_in"; fi
            done
        done
    done
}

paths_in() { # <unit>, its text on stdin; each path in PGDATA and in the command line
    instance=${1#*@}
    awk -v instance="${instance%.service}" '
        function assign(text) {
            gsub(/["\047]/, "", text)
            if (text !~ /^[[:alnum:]_]+=/) return
            set[substr(text, 1, index(text, "=") - 1)] = substr(text, index(text, "=") + 1)
        }
        /^[[:space:]]*[#;]/ { next }
        sub(/\\$/, " ") { held = held $0; next }
        { line = held $0; held = ""; key = line; sub(/[[:space:]]*=.*/, "", key); sub(/^[^=]*=[[:space:]]*/, "", line) }
        key == "ExecStart" { command = line == "" ? "" : command " " line } # an empty one takes back those before it
        key == "Environment" { count = split(line, words); for (i = 1; i <= count; i++) assign(words[i]) }
        key == "EnvironmentFile" { sub(/^-/, "", line); files[++known] = line }
        END { # a file of variables goes before Environment= (systemd.exec(5))
            for (i = 1; i <= known; i++) while ((getline line < files[i]) > 0) assign(line)
            for (name in set) gsub("[$]([{]" name "[}]|" name ")", set[name], command)
            count = split(set["PGDATA"] " " command, words, /[[:space:]"\047=:,]+/)
            for (i = 1; i <= count; i++) { gsub(/%[iI]/, instance, words[i]); if (words[i] ~ /^\//) print words[i] }
        }'
}

names_the_directory() { # <unit> <its file>
    text_of "$1" "$2" 2>/dev/null | paths_in "$1" | while IFS= read -r path; do
        if [ "$path" -ef "$data" ]; then echo yes; fi
    done | grep -q yes
}

mention_it() { # the units worth a closer look, which takes some milliseconds each
    for folder in $folders; do
        set -- "$folder"/*.service "$folder"/*.service.d/*.conf
        grep -liE 'postgres|postmaster|pg_ctl|pgdata|pgsql' "$@" 2>/dev/null
        grep -lF "$data" "$@" 2>/dev/null
    done | sed 's|[.]d/[^/]*$||; s|.*/||' | sort -u
}

units() {
    candidates=" $(mention_it | tr '\n' ' ')"
    for unit in $(wanted); do
        case $candidates in *" $unit "* | *" ${unit%%@*}@.service "*) ;; *) continue ;; esac
        can_start "$unit" && names_the_directory "$unit" "$found" || continue
        case ${found##*/} in *@.service) name=$unit ;; *) name=${found##*/} ;; esac # an alias cannot be disabled
        case $(SYSTEMD_OFFLINE=1 systemctl is-enabled "$name" 2>/dev/null) in
        enabled*) printf '%s\tsystemctl disable %s\n' "$unit" "$name" ;;
        *) printf '%s\tsystemctl mask %s\n' "$unit" "$name" ;; # wanted by its vendor, or by a link made by hand
        esac
    done
}

start_mode() { # <the cluster's folder>; read as postgresql-common's own systemd generator reads it
    if [ ! -e "$1/start.conf" ]; then
        echo auto
    else
        sed 's/#.*//; s/^[[:space:]]*//; s/[[:space:]]*$//; /^$/d' "$1/start.conf"
    fi
}

starts_clusters() { # what starts the clusters that are `auto`
    if ! has_systemd; then
        for link in /etc/rc[2345].d/S*postgresql; do
            if [ -e "$link" ]; then echo "$link" && return; fi
        done
    elif can_start postgresql.service; then
        wanted postgresql.service
    fi
}

clusters() { # Debian's postgresql-common: its units name a cluster, and the cluster's settings name the directory
    for file in /etc/postgresql/*/*/postgresql.conf; do
        folder=${file%/*}
        cluster=${folder##*/}
        version=${folder%/*} version=${version##*/}
        where=$(pg_conftool -s "$version" "$cluster" show data_directory 2>/dev/null) || where=$folder/pgdata
        if [ ! "$where" -ef "$data" ] && [ ! "$file" -ef "$config" ]; then continue; fi
        unit=postgresql@$version-$cluster.service
        mode=$(start_mode "$folder")
        if has_systemd && ! can_start "$unit"; then continue; fi
        if [ "$mode" = auto ] && starter=$(starts_clusters | grep .); then
            printf '%s\techo manual > %s/start.conf\n' "$starter" "$folder"
        fi
        if has_systemd && [ "$mode" != disabled ] && wanted "$unit" | grep -q .; then
            printf '%s\tsystemctl disable %s\n' "$unit" "$unit" # it starts a `manual` one as well
        fi
    done
}

if [ ! -d "$data" ]; then
    echo "$data is not a directory that $(id -un) can reach" >&2
    exit 22
fi
if has_systemd; then units; fi
clusters
