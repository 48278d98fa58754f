trap '' HUP INT TERM
groups=' '
while read -r sign group; do
  case $sign in
    +) groups="$groups$group " ;;
    -) case $groups in
         *" $group "*) groups="${groups%%" $group "*} ${groups#*" $group "}" ;;
       esac ;;
  esac
done
[ "$groups" = ' ' ] && exit 0
# Who has left the groups is known by their parents, and by when they began: field 20 after the name.
family=' '
strays=
more=yes
while [ "$more" ]; do
  more=
  for stat in /proc/[0-9]*/stat; do
    { read -r line < "$stat"; } 2>/dev/null || continue
    pid=${line%% *}
    case $family in *" $pid "*) continue ;; esac
    set -- ${line##*") "}
    case $groups in
      *" $3 "*) family="$family$pid " more=yes ;;
      *) case $family in *" $2 "*) family="$family$pid " more=yes strays="$strays $pid:${20}" ;; esac ;;
    esac
  done
done
end() {
  for group in $groups; do kill -s "$1" -- "-$group"; done
  signal=$1
  for stray in $strays; do
    { read -r line < "/proc/${stray%:*}/stat"; } 2>/dev/null || continue
    set -- ${line##*") "}
    [ "${20}" = "${stray#*:}" ] && kill -s "$signal" "${stray%:*}"
  done
}
end TERM
sleep 2
end KILL
