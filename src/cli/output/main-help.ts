import { operationNames } from '../operation/names.js';

/** What `rollcall --help` prints: examples first. Written here, so that help loads nothing else. */
export const mainHelp = `rollcall supervises http workers and restarts them, on one node or over a fleet, without losing a request.

Examples
  rollcall status                                              what is wrong first, then node, workers, fleet
  rollcall rollout start                                       roll every worker of the fleet, node after node
  rollcall restart_service service=http_workers app=web        replace one app's workers on this node
  rollcall rollout plan                                        what that would do, and how long it would take
  rollcall rollout follow                                      watch the rollout that is going on
  rollcall logs -f web                                         what the workers of web write
  rollcall validate --config rollcall.yaml                     check a configuration before it counts

See
  status                    what is going on, the wrong things first
  workers [--node all]      the workers of this node, of another one, or of all
  logs [-f] [APP]           what the workers write; --node all, --since 10m
  doctor                    check this host, and show how to fix each fault
  rollout plan [APP]        what a rolling restart would do
  rollout status [ID]       one rollout; the newest without ID
  rollout history           the last rollouts
  rollout follow [ID]       watch one to its end
  audit                     who changed what

Act
  OPERATION [KEY=VALUE ...] any operation; values are read as JSON, else as text
  rollout start [APP]       roll the workers of the fleet, node after node; --hold-after 1 looks first
  rollout pause|resume|abort [ID]
  stop                      end daemon and workers of a configuration (without systemd)

Set up
  init                      write a configuration, from flags, questions or PM2
  validate                  check a configuration
  user add|password NAME    let somebody in over the network; asks for the password
  token create|list|drop    API tokens, for jobs that are no persons
  fleet init|add|renew      a fleet at home: its authority, and a bundle for each node
  ca init|issue NODE|rotate the fleet's own certificate authority
  install, uninstall        put it on this host as a service, or take it away
  completion SHELL          complete commands, apps, nodes and rollouts in bash, zsh or fish
  daemon                    run the control plane in the foreground
  worker-host               run one app user's worker host in the foreground

Options of every command
  --config FILE             whose daemon (default /etc/rollcall/rollcall.yaml)
  --socket PATH             that daemon's admin socket
  --url URL                 a remote daemon; ROLLCALL_TOKEN or --token-file FILE, or
                            ROLLCALL_USERNAME and ROLLCALL_PASSWORD or --credentials FILE
  --timeout DURATION        longest an answer, or a followed rollout, may take
  --json                    one JSON document on stdout; progress as JSON lines on stderr
  --no-color                plain text on a terminal too; NO_COLOR=1 does the same
  --help                    of rollcall, or of one command; rollcall help COMMAND does the same

Manual
  help                      the topics of the manual, which is on this host
  help TOPIC                one page, such as rolling, troubleshooting or configuration

Operations
${wrapped(operationNames)}

Exit codes
  0 done                    1 refused or failed              2 usage or configuration
  4 daemon not reachable    5 not authenticated or allowed   6 rollout halted or aborted
  7 timed out               8 conflicts with a rollout       130 interrupted, the rollout goes on
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
