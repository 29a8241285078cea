#!/bin/sh
# install | remove. The program, a directory for what it keeps, and a line for the server's boot. See docs/taskservs.md.
set -eu
name=notes
home=/opt/$name
. ./service.sh
case $1 in
install)
    put "$home/notes.py" <notes.py
    mkdir -p /var/lib/$name
    serve "python3 $home/notes.py $PARAM_PORT /var/lib/$name"
    echo "fact: {\"ports\": [$PARAM_PORT]}"
    ;;
remove)
    take_away
    [ "$PURGE" = no ] || rm -rf /var/lib/$name
    ;;
esac
