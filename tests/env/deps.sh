#!/bin/bash
# Brings what a make target needs to a Debian 12 machine, and says what it does.
#
#   tests/env/deps.sh build|demo|check|test|lint ...
#
#   build  compiler and libraries
#   demo   + Postgres, Python (inbox, generator, recount)
#   check  + CUnit, Python's jsonschema, a second JSON parser to compare ours with
#   test   + Java, Maven, and Apache Kafka's jars in build/kafka-lib
#   lint   + clang, clang-format, clang-tidy, cppcheck
#
# Nothing missing: silent, a few milliseconds.  Packages come through apt-get, as root or by sudo;
# without either the exact command is printed and the exit status is 1.
set -eu
cd "$(dirname "$0")/../.."

build="gcc make pkg-config librdkafka-dev libpq-dev libyaml-dev libcurl4-openssl-dev
    libjansson-dev libmicrohttpd-dev libssl-dev libxxhash-dev tzdata"
demo="$build postgresql-15 openssl python3 python3-aiosmtpd python3-psycopg2"
check="$demo g++ libsimdjson-dev libcunit1-dev python3-jsonschema"
test="$check default-jre-headless maven zstd python3-confluent-kafka"
lint="$build g++ libsimdjson-dev libcunit1-dev clang clang-format clang-tidy cppcheck"

say() {
    printf 'deps: %s\n' "$*" >&2
}

# installed PACKAGE: it is there, or for the Java runtime, any other package's java is.
installed() {
    case " $present " in *" $1 "*) return 0 ;; esac
    [ "$1" = default-jre-headless ] && command -v java >/dev/null
}

missing_of() {
    local package present
    # One call for all: dpkg-query complains about those it does not know, which is the question.
    present=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
        sed -n 's/^installed //p' | tr '\n' ' ')
    for package; do
        installed "$package" || printf '%s ' "$package"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# What apt-get prints goes to a file and is shown when it fails.
apt() {
    # Another installation may hold dpkg's lock: wait for it instead of failing.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 \
        -o Dpkg::Use-Pty=0 "$@" >>build/apt.log 2>&1 </dev/null
}

# Debian's server package creates and starts a cluster on port 5432.  We want the programs only,
# so the packages' own switch is off while they are unpacked, unless somebody has set it before.
install_without_cluster() {
    local conf=/etc/postgresql-common/createcluster.conf status=0

    apt install -y --no-install-recommends postgresql-common
    as_root sed -i 's/^#create_main_cluster = true$/create_main_cluster = false/' "$conf"
    apt install -y --no-install-recommends "$@" || status=$?
    as_root sed -i 's/^create_main_cluster = false$/#create_main_cluster = true/' "$conf"
    return $status
}

install_packages() {
    local packages command

    command -v dpkg-query >/dev/null || {
        say "this is not Debian; please install the equivalents of: $(echo "$@")"
        exit 1
    }
    packages=$(missing_of "$@")
    [ -n "$packages" ] || return 0
    command="apt-get update && apt-get install -y --no-install-recommends $packages"
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        say "packages are missing, and neither root nor sudo is at hand.  Run as root:"
        printf '%s\n' "$command" >&2
        exit 1
    fi
    mkdir -p build
    say "installing what $targets needs: $packages(apt-get; its output is in build/apt.log)"
    apt update || say "apt-get update failed; trying with the lists that are there"
    # shellcheck disable=SC2086 -- a list of words
    case " $packages" in
    *" postgresql-15 "*)
        if [ -e /etc/postgresql-common/createcluster.conf ]; then
            apt install -y --no-install-recommends $packages
        else
            install_without_cluster $packages
        fi
        ;;
    *) apt install -y --no-install-recommends $packages ;;
    esac || {
        tail -n 20 build/apt.log >&2
        say "apt-get failed.  What was asked of it, to be run as root: $command"
        exit 1
    }
}

# The directory is renamed into place when it is whole; its copy of the pom says which version.
kafka_jars() {
    local lib=build/kafka-lib pom=tests/env/pom.xml fresh

    cmp -s $pom $lib/pom.xml && return 0
    say "fetching Apache Kafka's jars (46 MB) from Maven Central into $lib"
    mkdir -p build
    fresh=$(mktemp -d "$PWD/build/kafka-lib.XXXXXX")
    if ! mvn -q -B -f $pom dependency:copy-dependencies -DoutputDirectory="$fresh" \
        >build/maven.log 2>&1; then
        rm -rf "$fresh"
        tail -n 20 build/maven.log >&2
        say "Maven could not fetch them; is Maven Central reachable?  (Proxies: ~/.m2/settings.xml)"
        exit 1
    fi
    cp $pom "$fresh"/
    rm -rf $lib
    # Another make may have been as quick; its directory is as good as ours.
    mv -T "$fresh" $lib 2>/dev/null || rm -rf "$fresh"
}

targets="$*"
wanted=
for target; do
    case $target in
    build | demo | check | test | lint) wanted="$wanted ${!target}" ;;
    *)
        echo "usage: tests/env/deps.sh build|demo|check|test|lint ..." >&2
        exit 2
        ;;
    esac
done
# shellcheck disable=SC2086 -- a list of words
install_packages $wanted
case " $targets " in *" test "*) kafka_jars ;; esac
