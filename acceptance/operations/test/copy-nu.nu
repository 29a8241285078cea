# Prints the parameters that it got on standard input as JSON.
def main [] {
    $in | from json | get params | to json --raw | print --raw
}
