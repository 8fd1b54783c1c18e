import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { defaultSecretFile, type TemplateOptions, configurationTemplate } from '../../config/publish/template.js';
import { messageOf, RollcallError } from '../../errors.js';
import { configFileDefault } from '../client/places.js';
import type { Context } from '../context.js';
import type { Remark } from './from-pm2/types.js';
import { writeMessage, writeResult } from '../output/terminal.js';
import { remarksText } from './from-pm2/report.js';
import { shellWord } from '../output/format.js';

/** The flags of `rollcall init`, as Commander hands them over. */
export interface InitFlags
	extends Omit<
		TemplateOptions,
		'tls' | 'peers' | 'port' | 'name' | 'appName' | 'script' | 'healthPath' | 'apps' | 'appNotes'
	> {
	fromPm2?: string;
	fromPm2List?: boolean;
	env?: string;
	node?: string;
	app?: string;
	appName?: string;
	port?: string;
	health?: string;
	peer?: string[];
	force?: boolean;
	print?: boolean;
}

const secretBytes = 32;
/** The environment of an app may hold secrets. rollcall install gives the file the group of the control plane. */
const configurationMode = 0o640;

/** What the configuration is made of. */
interface Wanted {
	template: TemplateOptions;
	/** What became of PM2's configuration; null when there was none. */
	remarks: Remark[] | null;
}

/** Writes a commented configuration from flags, from PM2, or from questions when there is neither and somebody can answer. */
export async function init(context: Context<InitFlags>): Promise<number> {
	const { options, terminal } = context;
	const file = resolve(options.config ?? configFileDefault);
	// Before anything is run or asked.
	if (options.print !== true) refuseExisting(file, options.force === true);
	const { template, remarks } = await wantedFrom(context);
	const text = configurationTemplate(template);
	const about = remarks === null ? [] : [remarksText(remarks)];
	if (options.print === true) {
		writeResult(terminal, { text, ...(remarks !== null && { remarks }) }, () => text);
		if (!terminal.json) for (const lines of about) writeMessage(terminal, lines);
		return 0;
	}
	write(file, text, options.force === true);
	const secret = /^ {2}secret_file: cluster\.secret\b/m.test(text) ? makeSecret(dirname(file)) : null;
	const document = { file, secret_file: secret, ...(remarks !== null && { remarks }) };
	const written = [file, ...(secret === null ? [] : [secret])].map((path) => `wrote ${path}`);
	writeResult(terminal, document, () => [...about, ...written].join('\n'));
	writeMessage(terminal, `Look it over, then check it: rollcall validate --config ${shellWord(file)}`);
	return 0;
}

async function wantedFrom(context: Context<InitFlags>): Promise<Wanted> {
	const { options, session } = context;
	const { stdin, stderr } = process;
	if (options.fromPm2 !== undefined || options.fromPm2List === true) return await wantedFromPm2(context);
	if (options.env !== undefined) throw new RollcallError('usage', '--env goes with --from-pm2.');
	const asks = !hasFlags(options) && stdin.isTTY === true && stderr.isTTY === true;
	return { template: asks ? await ask(stdin, stderr, session.signal) : fromFlags(options), remarks: null };
}

/** Flags of one app say nothing about those of PM2, but for `--user`, which counts where PM2's names none. */
const oneAppFlags = ['app', 'appName', 'cwd', 'interpreter', 'instances', 'port', 'health', 'force'] as const;

async function wantedFromPm2({ options, terminal, session }: Context<InitFlags>): Promise<Wanted> {
	const { fromPm2, fromPm2List, env, user, ...rest } = options;
	const other = oneAppFlags.find((name) => rest[name] !== undefined);
	if (other !== undefined || (fromPm2 !== undefined && fromPm2List === true) || (fromPm2List && env !== undefined)) {
		const together =
			'--from-pm2 FILE [--env NAME] or --from-pm2-list, with the flags of node, fleet, folders and --user';
		throw new RollcallError('usage', `What goes together: ${together}. It never overwrites a file.`);
	}
	const { migrateFrom } = await import('./from-pm2/migrate.js');
	const around = { environment: env ?? null, user: user ?? null };
	const { apps, remarks, notes, notice } = await migrateFrom(fromPm2 ?? null, around, session.signal);
	if (notice !== null) writeMessage(terminal, notice);
	return { template: { ...fromFlags(rest), apps, appNotes: notes }, remarks };
}

const flagNames = [
	'node zone stateDir workerDir runtimeDir http listen peer secretFile',
	'app appName cwd interpreter user instances port health',
].flatMap((names) => names.split(' ')) as (keyof InitFlags)[];

const hasFlags = (flags: InitFlags) => flagNames.some((name) => flags[name] !== undefined);

/** What flags ask for; a port that is none is refused. */
export function fromFlags({ node, app, port, health, peer, ...rest }: InitFlags): TemplateOptions {
	const same = ['zone', 'stateDir', 'workerDir', 'runtimeDir', 'http', 'listen', 'secretFile'] as const;
	const ofApp = ['appName', 'cwd', 'interpreter', 'user', 'instances'] as const;
	const given = [...same, ...ofApp].flatMap((name) => (rest[name] === undefined ? [] : [[name, rest[name]]]));
	return {
		...Object.fromEntries(given),
		...(node === undefined ? {} : { name: node }),
		...(app === undefined ? {} : { script: app }),
		...(health === undefined ? {} : { healthPath: health }),
		...(peer === undefined ? {} : { peers: peer }),
		...(port === undefined ? {} : { port: portOf(port) }),
	};
}

function portOf(text: string): number {
	const port = Number(text);
	if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
	throw new RollcallError('usage', `A port is a number from 1 to 65535, not '${text}'.`);
}

/** Asks on the terminal; an empty answer takes what stands in brackets. Ctrl-C writes nothing. */
async function ask(input: Readable, output: Writable, signal: AbortSignal): Promise<TemplateOptions> {
	const { createInterface } = await import('node:readline/promises');
	const lines = createInterface({ input, output });
	// While it reads, the terminal hands Ctrl-C to readline and not to the process.
	lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
	const question = async (text: string) => (await lines.question(`${text} `, { signal })).trim();
	const answers: TemplateOptions = {};
	const put = async (
		key: Exclude<keyof TemplateOptions, 'peers' | 'tls' | 'port' | 'apps' | 'appNotes'>,
		text: string,
	) => {
		const answer = await question(text);
		if (answer !== '') answers[key] = answer;
	};
	try {
		await put('name', 'Name of this node [the host name]:');
		await put('script', "The http app's script [none yet]:");
		if (answers.script !== undefined) {
			await put('cwd', "The app's folder [the configuration's]:");
			await put('instances', 'How many workers, or max [2]:');
			const port = await question('PORT to give the app [none]:');
			if (port !== '') answers.port = portOf(port);
			await put('healthPath', 'Path that answers 2xx when healthy [GET / below 500]:');
		}
		await put('http', 'HOST:PORT for operations over TCP [only the socket]:');
		await put('listen', 'HOST:PORT where the other nodes reach this one [no other nodes]:');
		if (answers.listen !== undefined) {
			const peers = await question('The nodes, NAME=URL with blanks between [none]:');
			if (peers !== '') answers.peers = peers.split(/\s+/);
		}
		return answers;
	} finally {
		lines.close();
	}
}

function refuseExisting(file: string, force: boolean): void {
	if (force || !existsSync(file)) return;
	throw new RollcallError('usage', `${file} exists already. Name another with --config, or overwrite it with --force.`);
}

function write(file: string, text: string, force: boolean): void {
	refuseExisting(file, force);
	try {
		mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
		writeFileSync(file, text, { mode: configurationMode, flag: force ? 'w' : 'wx' });
	} catch (error) {
		throw new RollcallError('usage', `${file} cannot be written: ${messageOf(error)}.`, {}, { cause: error });
	}
}

/** The configuration names a secret beside it; one that is there already is another node's too and stays. */
function makeSecret(folder: string): string | null {
	const file = join(folder, defaultSecretFile);
	if (existsSync(file)) return null;
	writeFileSync(file, `${randomBytes(secretBytes).toString('hex')}\n`, { mode: 0o600, flag: 'wx' });
	return file;
}
