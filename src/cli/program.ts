import { Command, Option } from 'commander';
import { addAuthority } from './certificates/commands.js';
import type { Context, Session } from './context.js';
import { addFleet } from './fleet/commands.js';
import { addInstall } from './install/commands.js';
import { addCallers } from './commands/callers/commands.js';
import { mainHelp } from './output/main-help.js';
import type { RequestFlags } from './client/rollout-request.js';
import type { InitFlags } from './commands/init.js';
import type { AppFlags } from './commands/app.js';
import type { StatusFlags } from './commands/status/status.js';
import type { LogFlags } from './commands/logs.js';
import { configFileDefault } from './client/places.js';
import type { CommonOptions } from './client/connect.js';
import { processTerminal } from './output/terminal.js';

type Action<Options> = (context: Context<Options>, ...operands: string[]) => Promise<number>;

/** The command lines that exist. Each command's function is imported when it is the one that runs. */
export function buildProgram(session: Session): Command {
	const program = new Command('rollcall')
		.exitOverride()
		.configureOutput({ outputError: () => undefined })
		.configureHelp({ showGlobalOptions: true })
		.showSuggestionAfterError()
		.helpCommand(false)
		.option('--config <file>', `the daemon's configuration (default ${configFileDefault})`)
		.option('--socket <path>', "the daemon's admin socket")
		.option('--url <url>', 'a remote daemon, such as https://alpha:9925')
		.option('--ca <file>', 'PEM of the authority that signed the certificate of --url')
		.option('--credentials <file>', 'a file of mode 0600 with one line, username:password')
		.option('--token-file <file>', 'a file of mode 0600 with one line, an API token')
		.option('--timeout <duration>', 'longest an answer, or a followed rollout, may take: 30s, 5m')
		.option('--no-color', 'plain text on a terminal too; NO_COLOR=1 does the same')
		.option('--json', 'one JSON document on stdout, progress as JSON lines on stderr');
	const build = new Builder(program, session);
	addViews(build);
	addRollout(build);
	addNodes(build);
	addProcesses(build);
	addSetup(build);
	addOperation(build);
	program.helpInformation = () => mainHelp;
	return program;
}

/** Adds commands whose function gets the options, the terminal and the session. */
export class Builder {
	constructor(
		readonly parent: Command,
		private readonly session: Session,
	) {}

	group(name: string, summary: string): Builder {
		const group = this.parent.command(name).summary(summary).description(summary);
		// Its commands are what it is asked for; the options of all stand with each of them.
		return new Builder(group.configureHelp({ showGlobalOptions: false }), this.session);
	}

	/** `words`: the command with its operands, as Commander writes them. */
	add<Options = object>(
		words: string,
		summary: string,
		examples: string[],
		action: Action<Options>,
		settings: { isDefault?: boolean } = {},
	): Command {
		const command = this.parent.command(words, settings).summary(summary).description(summary);
		command.configureHelp({ showGlobalOptions: true });
		command.addHelpText('before', `Examples\n${examples.map((line) => `  ${line}\n`).join('')}`);
		return command.action(async (...given: unknown[]) => {
			const operands = given
				.slice(0, command.registeredArguments.length)
				.flat()
				.filter((word) => word !== undefined);
			const options = command.optsWithGlobals<CommonOptions & Options & { color?: boolean }>();
			const terminal = processTerminal(options.json === true, options.color !== false);
			this.session.exitCode = await action({ options, terminal, session: this.session }, ...operands.map(String));
		});
	}
}

/** Of commands that show rows of other nodes, too. */
const nodeOption = 'of the node of this name, or of all (default: of the one that answers)';

function addViews(build: Builder): void {
	const status = ['rollcall status', 'rollcall status --node all', 'rollcall status --check --node all'];
	build
		.add<StatusFlags>('status', 'what is going on, the wrong things first', status, async (context) =>
			(await import('./commands/status/status.js')).status(context),
		)
		.option('--node <node>', nodeOption)
		.option('--watch', 'go on with it, until Ctrl-C')
		.option('--check', 'only what is wrong; exit with 1 if anything is');
	const workers = ['rollcall workers', 'rollcall workers --node beta', 'rollcall workers --node all --json'];
	build
		.add<{ node?: string }>('workers', 'the workers of this node, or of others', workers, async (context) =>
			(await import('./commands/workers.js')).workers(context),
		)
		.option('--node <node>', nodeOption);
	build
		.add<LogFlags>(
			'logs [app]',
			'what the workers write',
			['rollcall logs', 'rollcall logs -f web', 'rollcall logs web --node all --since 10m'],
			async (context, app) => (await import('./commands/logs.js')).logs(context, app),
		)
		.option('-f, --follow', 'go on with what is written from now on')
		.option('-n, --lines <number>', 'how many of the last lines of each stream (default: 20, or all with --since)')
		.option('--since <when>', 'what was written since: 10m, 2h, or a time such as 2026-05-18T12:00:00Z')
		.option('--node <node>', nodeOption)
		.option('--worker <id>', 'of this worker alone')
		.option('--release <release>', 'of workers that ran it: its path, or the beginning of its revision');
}

function addRollout(build: Builder): void {
	const rollout = build.group('rollout', 'see and steer rolling restarts');
	const module = () => import('./commands/rollout.js');
	const plan = ['rollcall rollout plan', 'rollcall rollout plan web --node beta', 'rollcall rollout plan app=web'];
	requestFlags(
		rollout.add<RequestFlags>(
			'plan [apps...]',
			'what a rolling restart would do, of all apps or these',
			plan,
			async (context, ...words) => (await module()).plan(context, words),
		),
	);
	const start = [
		'rollcall rollout start',
		'rollcall rollout start web --max-unavailable 2',
		"rollcall rollout start --hold-after 1 --note 'release 4.2'",
	];
	requestFlags(
		rollout.add<RequestFlags & { detach?: boolean }>(
			'start [apps...]',
			'roll the workers of the fleet, node after node',
			start,
			async (context, ...apps) => (await module()).start(context, apps),
		),
	).option('--detach', 'do not follow it');
	const undo = [
		'rollcall rollout undo',
		"rollcall rollout undo ID --note 'too slow'",
		'rollcall rollout undo --dry-run',
	];
	rollout
		.add<{ note?: string; dryRun?: boolean; detach?: boolean }>(
			'undo [id]',
			'put every node back on what it ran before; the newest rollout without ID',
			undo,
			async (context, id) => (await module()).undo(context, id),
		)
		.option('--note <text>', 'why, for those who see it')
		.option('--dry-run', 'say what would be done, and do nothing')
		.option('--detach', 'do not follow it');
	rollout.add('status [id]', 'one rollout; the newest without ID', ['rollcall rollout status'], async (context, id) =>
		(await module()).show(context, id),
	);
	rollout
		.add<{ limit?: string }>('history', 'the last rollouts', ['rollcall rollout history -n 5'], async (context) =>
			(await module()).history(context),
		)
		.option('-n, --limit <number>', 'how many', '20');
	const follow = ['rollcall rollout follow', 'rollcall rollout follow ID --json'];
	rollout.add('follow [id]', 'watch one to its end; the newest without ID', follow, async (context, id) =>
		(await module()).follow(context, id),
	);
	rollout.add(
		'pause [id]',
		'no further step; a running one finishes',
		['rollcall rollout pause'],
		async (context, id) => (await module()).steer(context, 'pause', id),
	);
	rollout
		.add<{ skip?: string[]; detach?: boolean }>(
			'resume [id]',
			'go on with a paused or halted one, and follow it',
			['rollcall rollout resume', 'rollcall rollout resume ID --skip beta,gamma'],
			async (context, id) => (await module()).steer(context, 'resume', id),
		)
		.option('--skip <nodes>', 'nodes to leave as they are, separated by commas', listed)
		.option('--detach', 'do not follow it');
	rollout
		.add<{ local?: boolean }>(
			'abort [id]',
			'end it; a running step finishes',
			['rollcall rollout abort', 'rollcall rollout abort --local ID'],
			async (context, id) => (await module()).steer(context, 'abort', id),
		)
		.option('--local', 'on this node alone, when a majority of the fleet is gone for good');
}

/** What is done to one app or one node. */
function addNodes(build: Builder): void {
	const app = build.group('app', 'act on one app');
	const restart = [
		'rollcall app restart web',
		'rollcall app restart web --node beta',
		'rollcall app restart web --node all',
	];
	app
		.add<AppFlags>('restart <app>', 'replace its workers, new before old', restart, async (context, name) =>
			(await import('./commands/app.js')).restartApp(context, name ?? ''),
		)
		.option('--node <nodes>', 'on these nodes, separated by commas, or on all (default: this one)', listed)
		.option('--note <text>', 'with --node: why, for those who see it')
		.option('--detach', 'do not follow it');
	const node = build.group('node', 'take a node out of its load balancers, and put it back');
	const module = () => import('./commands/node.js');
	node.add(
		'drain [node]',
		'tell load balancers that it is not ready; its workers serve on',
		['rollcall node drain', 'rollcall node drain beta'],
		async (context, name) => (await module()).setNode(context, 'drain', name),
	);
	node.add('ready [node]', 'take that back', ['rollcall node ready beta'], async (context, name) =>
		(await module()).setNode(context, 'ready', name),
	);
}

const listed = (text: string, before: string[] = []): string[] => [...before, ...text.split(',').filter(Boolean)];

const requestFlags = (command: Command): Command =>
	command
		.option('--node <nodes>', 'these nodes alone, separated by commas (default: all)', listed)
		.option('--zone <zone>', 'the nodes of this zone alone')
		.option('--hold-after <number>', 'pause once so many nodes are back')
		.option('--note <text>', 'why, for those who see it')
		.option('--max-unavailable <nodes>', 'how many nodes may be out at once: a number, or per cent')
		.option('--on-failure <what>', 'what a failed step does to the rest: halt, continue or revert');

function addProcesses(build: Builder): void {
	const daemon = ['rollcall daemon --config /etc/rollcall/rollcall.yaml'];
	build.add('daemon', 'run the control plane in the foreground', daemon, async ({ options, session }) => {
		session.leaveSignals();
		await session.programs.runDaemon({ configFile: options.config ?? configFileDefault });
		return 0;
	});
	const host = ['rollcall worker-host --config /etc/rollcall/rollcall.yaml --user web'];
	build
		.add<{ user?: string; stop?: boolean; settings?: string }>(
			'worker-host',
			"run one app user's worker host",
			host,
			async (context) => {
				const { options, session } = context;
				if (options.stop === true) return (await import('./stop/stop-unit.js')).stopUnit(context);
				session.leaveSignals();
				await session.programs.runWorkerHost({
					settings: options.settings ?? null,
					configFile: options.config ?? configFileDefault,
					user: options.user ?? null,
				});
				return 0;
			},
		)
		.option('--user <name>', 'whose workers (default: those of apps without user)')
		.option('--stop', 'drain and end every process of the own unit (its ExecStopPost)')
		.addOption(new Option('--settings <json>', 'what the daemon tells the host that it starts').hideHelp());
	const stop = ['rollcall stop --config ./rollcall.yaml'];
	build
		.add<{ kill?: boolean }>('stop', 'drain and end daemon and workers (without systemd)', stop, async (context) =>
			(await import('./stop/stop.js')).stop(context),
		)
		.option('--kill', 'kill what does not leave in time');
}

function addSetup(build: Builder): void {
	const validate = ['rollcall validate --config ./rollcall.yaml'];
	build.add('validate', 'check a configuration', validate, async (context) =>
		(await import('./commands/validate.js')).validate(context),
	);
	const doctor = ['rollcall doctor', 'rollcall doctor --config ./rollcall.yaml --json'];
	build.add('doctor', 'check this host, and show how to fix each fault', doctor, async (context) =>
		(await import('./doctor/doctor.js')).doctor(context),
	);
	const completion = ['source <(rollcall completion bash)', 'rollcall completion fish | source'];
	build.add(
		'completion <shell> [words...]',
		'print the completion of bash, zsh or fish',
		completion,
		async (context, ...operands) =>
			(await import('./commands/completion/completion.js')).completion(context, build.parent, operands),
	);
	addInit(build);
	addInstall(build);
	addAuthority(build);
	addFleet(build, appOptions);
	addCallers(build);
}

function addInit(build: Builder): void {
	const examples = [
		'rollcall init',
		'rollcall init --config ./rollcall.yaml --app ./server.js --port 8080 --instances max',
		'rollcall init --from-pm2 ecosystem.config.js --env production --config ./rollcall.yaml',
		'rollcall init --node alpha --listen 10.0.0.1:9933 --peer alpha=wss://alpha:9933 --peer beta=wss://beta:9933',
	];
	const collect = (value: string, before: string[] = []) => [...before, value];
	const init = build.add<InitFlags>(
		'init',
		'write a configuration to --config, from flags, questions or PM2',
		examples,
		async (context) => (await import('./commands/init.js')).init(context),
	);
	appOptions(init)
		.option('--node <name>', 'name of this node (default: the host name)')
		.option('--zone <name>', 'a rollout goes zone by zone')
		.option('--http <host:port>', 'where operations are taken over TCP')
		.option('--listen <host:port>', 'where the other nodes reach this one')
		.option('--peer <name=url>', 'a node of the fleet; once for each', collect)
		.option('--secret-file <file>', 'the shared secret, for loopback only')
		.option('--state-dir <folder>', 'default /var/lib/rollcall')
		.option('--worker-dir <folder>', 'default /var/lib/rollcall-workers')
		.option('--runtime-dir <folder>', 'default /run/rollcall')
		.option(
			'--from-pm2 <file>',
			"take over PM2's file: .js, .cjs and .mjs are run (in a child process), .json and .yaml read",
		)
		.option('--env <name>', "with --from-pm2: the variables of PM2's env_NAME, too")
		.option('--from-pm2-list', 'take over what the running PM2 of this user lists')
		.option('--print', 'write it to stdout instead')
		.option('--force', 'overwrite what is there');
}

const appOptions = (command: Command): Command =>
	command
		.option('--app <script>', "the http app's script")
		.option('--app-name <name>', 'its name (default: web)')
		.option('--cwd <folder>', 'the folder it runs in')
		.option('--interpreter <program>', 'what runs it (default: node)')
		.option('--user <name>', "the system user of the app's workers, under systemd")
		.option('--instances <number>', 'how many workers, or max (default: 2)')
		.option('--port <number>', 'given to the app as PORT')
		.option('--health <path>', 'a path that answers 2xx when healthy');

/** Any other first word is an operation. */
function addOperation(build: Builder): void {
	const commands = build.parent.commands.map((command) => command.name());
	const examples = [
		'rollcall restart_service service=http_workers replicated=true',
		'rollcall set_status id=availability status=Unavailable',
		`rollcall system_information attributes='["cpu","memory"]' --json`,
		'rollcall add_user --fields new-user.json',
	];
	build
		.add<{ detach?: boolean; fields?: string }>(
			'operation <name> [fields...]',
			'any operation; the word operation itself may be left out',
			examples,
			async (context, name, ...fields) =>
				(await import('./operation/operation.js')).operation(context, { name: name ?? '', fields, commands }),
			{ isDefault: true },
		)
		.option('--detach', 'do not follow the rollout that it starts')
		.option('--fields <file>', 'more fields: a JSON object in a file, - for standard input');
}
