# A service without a service manager: $home/run starts it, and the server's boot does so again.

# put FILE: write standard input there, whole, where it differs; say so.
put() {
    mkdir -p "${1%/*}"
    cat >"$1.part"
    if cmp -s "$1.part" "$1" 2>/dev/null; then
        rm "$1.part"
    else
        mv "$1.part" "$1"
        echo "changed: $1"
        stale=yes
    fi
}

stale=no
boot=/etc/provisioning/boot.d/$name

# serve COMMAND: have it run, from now on and after each start of the server; a changed one runs anew.
serve() {
    put "$home/run" <<RUN
#!/bin/sh
# Its end is waited for by nobody: the first process of the server buries it.
cd /
setsid $1 </dev/null >>/var/log/$name.log 2>&1 &
echo \$! >/run/$name.pid
RUN
    chmod +x "$home/run"
    put "$boot" <<BOOT
#!/bin/sh
exec $home/run
BOOT
    chmod +x "$boot"
    if [ $stale = yes ] || ! runs; then
        end
        "$home/run"
        echo "changed: started $name"
    fi
}

# The number may be another program's by now, after a restart of the server: so its words are looked at too.
runs() { { [ -f /run/$name.pid ] && tr '\0' ' ' <"/proc/$(cat /run/$name.pid)/cmdline" | grep -q "$home"; } 2>/dev/null; }

end() {
    runs || return 0
    kill "$(cat /run/$name.pid)"
    while runs; do sleep 0.1; done
}

take_away() {
    end
    rm -rf "$home" "$boot" "/run/$name.pid" "/var/log/$name.log"
    echo "changed: took $name away"
}
