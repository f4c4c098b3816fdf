#!/usr/bin/env bash
# Run a command in a copy of this checkout on a machine that has Python and make and nothing else:
#
#     tests/bare_machine.sh [--cores LIST] [--home read-only|none] [COMMAND ...]
#
# In a mount namespace there are no compilers, no MPI, no caches; the home directory cannot be
# written, not even by root, or the environment does not say where it is (--home none). --cores 0
# leaves one core. Without COMMAND: `make demo` in each of these ways, then `make test` on two cores.
# Needs Linux, and root or user namespaces (unshare, of util-linux).
set -euo pipefail

HIDDEN='^((.*-)?(gcc|g\+\+|clang|clang\+\+|cpp|gfortran)(-[0-9.]+)?|cc|c\+\+|c89|c99|tcc|icx|icpx|nvcc|zig'
HIDDEN+='|mpi.*|ompi.*|orte.*|prte.*|prun)$'

cores=0,1 home=read-only
while [[ ${1-} == --* ]]; do
  case $1 in
    --cores) cores=$2 ;;
    --home) home=$2 ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done

if [[ -z ${BARE_MACHINE-} ]]; then  # still outside: copy, and start again inside
  cd "$(dirname "$0")/.."
  copy=$(mktemp -d)
  trap 'rm -rf "$copy"' EXIT
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp -p --parents -t "$copy"
  # what starts Python where it is, not a program in the home directory that chooses one
  python=$(python3 -c 'import os, sys; print(os.path.dirname(os.path.realpath(sys.executable)))')
  users_home=$(getent passwd "$(id -u)" | cut -d: -f 6 || true)
  map=$([[ $(id -u) == 0 ]] || echo --map-root-user)
  inside() {
    # pip's settings and certificates are the machine's; all else of the environment is left out
    env -i PATH="$python:/usr/local/bin:/usr/bin:/bin" LANG=C.UTF-8 HOME="$HOME" USER_HOME="$users_home" \
      BARE_MACHINE="$copy" \
      $(env | grep -E '^(PIP_|SSL_|REQUESTS_CA|HTTPS?_PROXY|https?_proxy)' || true) \
      unshare --mount $map bash "$copy/tests/bare_machine.sh" "$@"
  }
  if (($#)); then
    inside --cores "$cores" --home "$home" "$@"
  else
    inside --cores 0 --home read-only make demo
    inside --cores 0 --home none make demo
    inside --cores 0,1 --home read-only make test
  fi
  exit
fi

cd "$BARE_MACHINE"
for program in ${PATH//:/\/* }/*; do
  [[ ! ${program##*/} =~ $HIDDEN ]] || mount --bind /dev/null "$(realpath "$program")"
done
while read -r library; do
  mount --bind /dev/null "$(realpath "$library")"
done < <(/sbin/ldconfig -p | sed -n 's/.*libmpi.*=> //p')
for program in gcc g++ cc c++ clang mpirun; do
  ! $program --version &> /dev/null || { echo "$program is still there" >&2; exit 2; }
done
# the home directory of the environment and that of the list of users, which is asked without
for folder in "$HOME" "$USER_HOME"; do
  [[ -d $folder ]] || continue
  mkdir -p "$folder/.cache"
  mount --bind "$folder" "$folder"
  mount -t tmpfs -o ro none "$folder/.cache"
  mount -o remount,ro,bind "$folder"
  ! touch "$folder/written" 2> /dev/null || { echo "$folder can be written" >&2; exit 2; }
done
[[ $home == read-only ]] || unset HOME
export TMPDIR=${TMPDIR:-/tmp}
echo "== ${*}: no compiler, no MPI, home ${HOME-not known}, cores $cores"
taskset --cpu-list "$cores" "$@"
