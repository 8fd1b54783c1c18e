# What the plays of the manual (plays.ts) begin with, at home, from where ssh and scp reach every node of the fleet.
nodes='alpha beta gamma'

# json EXPRESSION: what it says of the document on standard input.
json() { node -p "JSON.parse(require('node:fs').readFileSync(0))$1"; }

# release NAME [FAULT]: brings an app of that revision to every node and points the link at it.
release() {
  for host in $nodes; do
    cat << APP | ssh $host "mkdir -p \$SRV/$1 && cat > \$SRV/$1/server.js && echo $1 > \$SRV/$1/REVISION && ln -sfn \$SRV/$1 \$SRV/web"
console.log('starts');
${2:-}
require('node:http').createServer((request, response) => response.end(process.pid + '\n')).listen(process.env.PORT);
APP
  done
}

# whole: resolves once no node finds anything wrong.
whole() {
  local host turn
  for host in $nodes; do
    for turn in $(seq 300); do
      if ssh $host rollcall status --check; then continue 2; fi
      sleep 0.2
    done
    return 1
  done
}

# restarted NODE: resolves once its restart has come to an end.
restarted() {
  local turn
  for turn in $(seq 300); do
    if [ "$(ssh "$1" rollcall cluster_status --json | json '.nodes.find(({link}) => link === "self").boot')" = 2 ]; then whole; return; fi
    sleep 0.2
  done
  return 1
}

# ready LOG: a daemon in the foreground says that it is.
ready() {
  local turn
  for turn in $(seq 300); do
    if grep -q '"event":"started"' "$1"; then return; fi
    sleep 0.2
  done
  cat "$1"; return 1
}

ecosystem() {
  echo "module.exports = { apps: [{ name: 'web', script: './web.js', instances: 2, exec_mode: 'cluster', env: { PORT: 8080 }, env_production: { NODE_ENV: 'production' } }] };"
}

# standalone: a configuration of a daemon without systemd that has all its places here, and its app.
standalone() {
  echo 'setInterval(() => {}, 1000)' > worker.js
  cat << FILE
node: {name: desk}
state_dir: state
worker_dir: w
runtime_dir: run
http_workers: [{name: idle, script: ./worker.js, ports: []}]
FILE
}
