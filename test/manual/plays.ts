import type { Cue, Play } from './player.js';

/** A release that is refused at its start, and the halted rollout that it leaves. */
const refused = `release bad "throw new Error('no database');"\n! ssh alpha rollcall rollout start`;
/** A rollout that is held after its first node, alpha. */
const held = 'ssh beta rollcall rollout start --hold-after 1';
const newcomer = 'systemd/newcomer.test.ts';
/** The same statements stand in several pages. */
const afterRefusal: readonly Cue[] = [
	{ at: 'rollcall rollout status', first: refused },
	{ at: 'rollcall rollout resume', first: 'release good' },
	{ at: 'rollcall rollout abort', first: refused },
];
const putBack = 'release good\nssh alpha rollcall rollout start';
const curl: Cue = { at: 'curl', own: { '/run/rollcall/admin.sock': 'ssh alpha \'echo "$ADMIN_SOCKET"\'' } };
const newest = "ssh alpha rollcall list_rollouts limit=1 --json | json '[0].id'";

/**
 * Every block of shell of the README and the manual, in an order in which one fleet can be taken through all of them: how it
 * is played, or why it is not.
 */
export const plays: readonly Play[] = [
	{ block: 'README 1', not: 'integration/daemon/demo.test.ts' },
	{ block: 'README 2', not: newcomer },
	{ block: 'README 3', not: newcomer },
	{ block: 'README 4', not: newcomer },
	{ block: 'README 5', cues: [{ at: 'rollcall status', first: 'release v1' }] },
	{ block: 'begin/quickstart-fleet 1', not: newcomer },
	{ block: 'begin/quickstart-fleet 2', not: newcomer },
	{ block: 'begin/quickstart-fleet 3', not: newcomer },
	{ block: 'begin/quickstart-host 1', not: newcomer },

	{ block: 'operate/rolling 1', cues: [{ at: 'rollcall rollout plan', first: 'release v2' }] },
	{ block: 'operate/rolling 2' },
	{
		block: 'operate/steering 1',
		cues: [
			{ at: 'rollcall rollout pause', first: 'ssh alpha rollcall rollout start --detach' },
			{ at: 'rollcall rollout resume --skip', first: held },
			{ at: 'rollcall rollout abort', first: held },
		],
	},
	{ block: 'operate/steering 2', quick: true },
	{
		block: 'operate/steering 3',
		cues: [{ at: 'rollcall rollout undo --dry-run', first: 'release v3\nssh alpha rollcall rollout start' }],
	},
	{ block: 'README 6', cues: afterRefusal, after: putBack },
	{
		block: 'operate/refused 1',
		cues: afterRefusal,
		after: putBack,
	},
	{
		block: 'operate/logging 2',
		quick: true,
		cues: [
			{ at: 'rollcall logs web -f', follows: true },
			{
				at: 'rollcall logs --node beta',
				own: { 'web-7': "ssh beta rollcall list_workers --json | json '[0].id'" },
			},
			{
				at: 'rollcall logs --release',
				own: { '4f2a9c1': "ssh alpha rollcall list_workers --json | json '[0].release.revision'" },
			},
		],
	},
	{
		block: 'operate/logging 1',
		installed: true,
		cues: [
			{ at: 'journalctl ROLLCALL_ROLLOUT', own: { '126c9cc3-d94e-4917-92db-272ffcdaa9c2': newest } },
			{ at: 'journalctl -f', follows: true },
		],
	},
	{
		block: 'operate/users-and-tokens 1',
		quick: true,
		cues: [
			{ at: 'rollcall user add', input: 'correct-horse-battery\n' },
			{ at: 'rollcall user password', input: 'correct-battery-horse\n' },
		],
	},
	{ block: 'operate/logging 3', quick: true },
	{ block: 'begin/load-balancer 1', quick: true },
	{ block: 'reference/metrics 1', quick: true, cues: [curl] },
	{ block: 'reference/operations 1', quick: true, cues: [curl] },
	{
		block: 'reference/commands 1',
		quick: true,
		cues: [
			{ at: 'source <(rollcall completion zsh)', not: 'shells/completion.test.ts' },
			{ at: 'rollcall completion fish', not: 'shells/completion.test.ts' },
		],
	},
	{ block: 'operate/failures 1', quick: true },
	{ block: 'operate/members 1' },
	{
		block: 'operate/restarting 1',
		cues: [{ at: 'rollcall restart replicated', first: 'restarted alpha' }],
		after: 'whole',
	},
	{ block: 'operate/upgrade 1', after: 'whole' },

	{
		block: 'begin/from-pm2 1',
		place: 'home',
		cues: [
			{ at: 'rollcall init --from-pm2 ', first: 'ecosystem > ecosystem.config.js' },
			{
				at: 'rollcall init --from-pm2-list',
				first: 'rm rollcall.yaml; echo "setInterval(() => {}, 1000)" > web.js; pm2 start ecosystem.config.js',
			},
		],
		after: 'pm2 kill; rm rollcall.yaml',
	},
	{
		block: 'begin/quickstart-host 2',
		place: 'home',
		cues: [
			{ at: 'rollcall daemon', first: 'standalone > rollcall.yaml; chmod 600 rollcall.yaml', follows: true },
			{ at: 'rollcall stop', first: 'rollcall daemon --config rollcall.yaml > daemon.log 2>&1 &\nready daemon.log' },
		],
		after: 'rm rollcall.yaml',
	},
	{ block: 'operate/certificates 1', place: 'home' },
	{ block: 'operate/certificates 2', place: 'home' },

	{ block: 'begin/hooks 1', not: 'the file of a hook: systemd/hooks.test.ts plays such a one' },
	{ block: 'begin/integrations 1', installed: true },
	{
		block: 'begin/packages 1',
		installed: true,
		cues: [{ at: 'npm install', not: 'systemd/package.test.ts' }],
	},
	{ block: 'operate/changes 1', installed: true, after: 'whole' },
	{ block: 'operate/certificates 3', installed: true },
	{
		block: 'operate/certificates 4',
		installed: true,
		cues: [
			{ at: 'rollcall fleet renew', place: 'home' },
			{ at: 'rollcall install', first: 'for host in $nodes; do scp shop/$host.tgz root@$host:; done' },
		],
	},
	{ block: 'operate/users-and-tokens 2', installed: true, cues: [{ at: 'rollcall status', first: 'overHttps alpha' }] },
	{
		block: 'operate/members 2',
		installed: true,
		cues: [
			{ at: 'rollcall fleet add', place: 'home' },
			{
				at: 'rollcall install --bundle alpha.tgz --force',
				first: [
					'for host in $nodes delta; do scp shop/$host.tgz root@$host:; done',
					'for host in beta gamma; do ssh $host rollcall install --bundle $host.tgz --force; done',
				].join('\n'),
			},
			{ at: 'rollcall install --bundle delta.tgz', first: 'fresh delta', place: 'delta' },
		],
		after: [
			'ssh alpha rollcall restart_service service=clustering_config replicated=true',
			// As the README has it.
			'for host in $nodes delta; do ssh $host "sed -i \'/name: delta/,+1d\' /etc/rollcall/rollcall.yaml"; done',
			'ssh alpha rollcall restart_service service=clustering_config replicated=true',
			'whole',
		].join('\n'),
	},
	{
		block: 'operate/certificates 5',
		place: 'home',
		installed: true,
		cues: [{ at: 'ssh alpha rollcall status', first: 'ownAuthority' }],
	},
	{ block: 'operate/certificates 6', place: 'home', installed: true },
	{ block: 'operate/certificates 7', place: 'home', installed: true },
	{ block: 'operate/certificates 8', place: 'home', installed: true },
	{
		block: 'operate/upgrade 2',
		place: 'solo',
		installed: true,
		cues: [
			{ at: 'rollcall uninstall --dry-run', first: 'fromClone solo' },
			{ at: 'rollcall uninstall --purge', first: 'fromClone solo' },
		],
	},
];
