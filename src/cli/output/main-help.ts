import { operationNames } from '../operation/names.js';

/** What `rollcall --help` prints: examples first. Written here, so that help loads nothing else; no line is longer than 80. */
export const mainHelp = `rollcall supervises http workers and restarts them, on one node or over a
fleet, without losing a request.

Examples
  rollcall status --node all              what is wrong, what runs where
  rollcall rollout start                  roll every worker, node after node
  rollcall rollout start web --node beta  roll one app on one node
  rollcall rollout start --hold-after 1   look at the first node, then resume
  rollcall app restart web                replace an app's workers on this node
  rollcall logs -f web --node all         what its workers write, everywhere
  rollcall node drain beta                take a node out of its load balancers

See
  status [--node NODE]      what is going on, the wrong things first; --watch;
                            --check: only what is wrong, and 1 if anything is
  workers [--node NODE]     the workers of this node, of another one, or of all
  logs [-f] [APP]           what the workers write; --node NODE|all, --since 10m
  rollout status [ID]       one rollout (the newest), and who asked for it
  rollout history           the last rollouts
  rollout follow [ID]       watch one to its end
  rollout plan [APP]        what a start would do, and how long it would take
  audit                     who changed what, from where, and what came of it
  doctor                    check this host, and show how to fix each fault

Act
  rollout start [APP]       roll the workers of the fleet, or of --node NODE;
                            --hold-after 1 stops after one, --note says why
  rollout undo [ID]         put every node back on what it ran before
  rollout pause [ID]        begin no further node
  rollout resume [ID]       go on with one that is held, paused or halted
  rollout abort [ID]        end one; nodes that are back stay so
  app restart APP           replace its workers on this node, or on --node NODE
  node drain|ready [NODE]   take a node out of its load balancers; put it back
  restart                   this whole instance: its daemon and all its workers
  stop                      end daemon and workers (without systemd)

Set up
  init                      write a configuration, from flags, questions or PM2
  validate                  check a configuration
  user add|password NAME    let a person in over the network, with --role ROLE
  token create|list|drop    API tokens for programs such as a CI job
  fleet init|add|renew      a fleet at home: its authority, bundles of its nodes
  ca init|issue NODE|rotate the fleet's own certificate authority
  install, uninstall        put it on this host as a service, or take it away
  completion SHELL          for bash, zsh or fish
  daemon                    run the control plane in the foreground
  worker-host               run one app user's worker host in the foreground

Options of every command
  --config FILE             whose daemon (default /etc/rollcall/rollcall.yaml)
  --socket PATH             that daemon's admin socket
  --url URL                 a remote daemon; with ROLLCALL_TOKEN or --token-file
                            FILE, or ROLLCALL_USERNAME and ROLLCALL_PASSWORD, or
                            --credentials FILE
  --timeout DURATION        longest an answer, or a followed rollout, may take
  --json                    one JSON document; progress as JSON lines on stderr
  --no-color                no colours on a terminal; NO_COLOR=1 does the same
  --help                    of rollcall, or of one command, such as
                            rollcall rollout start --help

Manual
  help                      the topics of the manual, which is on this host
  help TOPIC                one page: rolling, steering, troubleshooting, ...

Operations, as scripts use them: rollcall OPERATION KEY=VALUE ..., and
rollcall OPERATION --help. Over HTTP: POST / with {"operation": "NAME", ...}
${wrapped(operationNames)}

Exit codes
  0 done                   1 refused or failed       2 usage or configuration
  4 no daemon answers      5 not allowed             6 rollout halted or aborted
  7 timed out              8 conflicts with a rollout
  130 interrupted; the rollout goes on
`;

function wrapped(words: readonly string[]): string {
	const lines: string[] = [];
	let line = ' ';
	for (const word of words) {
		if (line.length + word.length + 1 > 78) {
			lines.push(line);
			line = ' ';
		}
		line += ` ${word}`;
	}
	return [...lines, line].join('\n');
}
