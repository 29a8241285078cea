#!/bin/sh
# install | remove. The page, a program that serves it, and a line for the server's boot. See docs/taskservs.md.
set -eu
name=pages
home=/opt/$name
. ./service.sh
case $1 in
install)
    put "$home/site/index.html" <<PAGE
<!doctype html><title>$SERVER</title><p>$PARAM_TEXT, says $SERVER
PAGE
    serve "python3 -m http.server --directory $home/site $PARAM_PORT"
    echo "fact: {\"ports\": [$PARAM_PORT]}"
    ;;
remove) take_away ;;
esac
