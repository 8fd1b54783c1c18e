/**
 * Command lines, run one after the other in a process of its own that can do no harm: in a folder made for it, as nobody where
 * it may choose, without programs to be found, and with every signal refused. A line must end with an exit code of the
 * table, show no stack, and start daemon or worker host only where that is the command.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/cli/run.js';
import { buildProgram } from '../../src/cli/program.js';
import { operationNames } from '../../src/cli/operation/names.js';
import { faults } from '../../src/errors.js';
import type { Random } from '../support/random.js';
import { type FuzzKind, liveBytes, mutate, seeded } from './kind.js';

const self = fileURLToPath(import.meta.url);
const nobody = 65_534;
const exitCodes = new Set<number>([0, 130, ...Object.values(faults).map(({ exit }) => exit)]);
const growthBytesMax = 32 * 1024 * 1024;

export const commandLines: FuzzKind = {
	name: 'command lines',
	perMille: 25,
	async run(inputs, seed) {
		const folder = mkdtempSync(join(tmpdir(), 'rc-fuzz-'));
		try {
			chmodSync(folder, 0o777);
			const child = fork(self, ['child', folder, String(inputs), String(seed)], {
				cwd: folder,
				env: { PATH: folder },
				stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
			});
			let said = '';
			child.stderr?.setEncoding('utf8').on('data', (text: string) => {
				said += text;
			});
			const [code] = (await once(child, 'close')) as [number | null];
			assert.equal(code, 0, said);
		} finally {
			rmSync(folder, { recursive: true, force: true });
		}
	},
};

/** What a command line may be made of: every command, option and operation there is, and things to give them. */
function vocabulary(): { heads: string[][]; options: string[]; values: string[] } {
	const nothing = async (): Promise<void> => undefined;
	const programs = { runDaemon: nothing, runWorkerHost: nothing };
	const { signal } = new AbortController();
	const program = buildProgram({ signal, leaveSignals: () => undefined, programs, exitCode: 0 });
	const heads = program.commands.flatMap((command) => [
		[command.name()],
		...command.commands.map((inner) => [command.name(), inner.name()]),
	]);
	const all = [program, ...program.commands, ...program.commands.flatMap((command) => command.commands)];
	const options = all.flatMap((command) => command.options.flatMap(({ long, short }) => [long ?? '', short ?? '']));
	return {
		heads: [...heads, ...operationNames.map((name) => [name]), ['nonsense'], []],
		options: [...new Set([...options.filter(Boolean), '--help', '-h', '--', '--nonsense'])],
		values: [
			...[
				'good.yaml',
				'bad.yaml',
				'none.sock',
				'out',
				'x.json',
				'alpha',
				'127.0.0.1:1',
				'8080',
				'max',
				'5s',
				'1ms',
				'0',
				'-1',
			],
			...['service=http_workers', 'replicated=true', 'id=primary', 'status=', 'a=[1', 'limit=3', '=', 'web', '1e9', ''],
			...[
				'http://127.0.0.1:1',
				'https://127.0.0.1:1',
				'ftp://x',
				'alpha=ws://127.0.0.1:1',
				'__proto__={"x":1}',
				'\u202e',
			],
		],
	};
}

function lineOf(random: Random, { heads, options, values }: ReturnType<typeof vocabulary>): string[] {
	const word = (): string => {
		const value = random.pick(values);
		return random.chance(0.1)
			? mutate(random, [Buffer.from(value)])
					.toString('utf8')
					.replaceAll('/', '')
			: value;
	};
	const words = [...random.pick(heads)];
	for (let more = random.between(0, 5); more > 0; more--) {
		const given = random.chance(0.5) ? [random.pick(options), ...(random.chance(0.6) ? [word()] : [])] : [word()];
		words.splice(random.chance(0.1) ? random.between(0, words.length) : words.length, 0, ...given);
	}
	// First, so that whatever follows, no command line falls back to a daemon of this host.
	return ['--config', random.pick(['good.yaml', 'bad.yaml', 'none.yaml']), ...words].filter(
		(one) => !one.includes('\0'),
	);
}

async function runLines(folder: string, inputs: number, seed: number): Promise<void> {
	const tree = (name: string): string => `${name}_dir: ${join(folder, name)}\n`;
	writeFileSync('good.yaml', `node: {name: alpha}\n${['state', 'worker', 'runtime'].map(tree).join('')}`, {
		mode: 0o644,
	});
	writeFileSync('bad.yaml', 'nonsense: [', { mode: 0o644 });
	await loadAll();
	if (process.getuid?.() === 0) {
		process.setgroups?.([]);
		process.setgid?.(nobody);
		process.setuid?.(nobody);
	}
	process.kill = () => {
		throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
	};
	const random = seeded(seed);
	const words = vocabulary();
	const first = Math.ceil(inputs / 10);
	let before = 0;
	for (let input = 0; input < inputs; input++) {
		if (input === first) before = liveBytes();
		await runLine(lineOf(random, words));
	}
	const growth = liveBytes() - before;
	assert.ok(inputs < 100 || growth < growthBytesMax, `${inputs - first} command lines left ${growth} bytes behind`);
}

/** Later it may be nobody, who can read no module. */
async function loadAll(): Promise<void> {
	const folder = new URL('../../src/cli/', import.meta.url);
	for (const name of readdirSync(folder)) {
		if (name.endsWith('.js') && !name.startsWith('print-')) await import(new URL(name, folder).href);
	}
}

async function runLine(words: string[]): Promise<void> {
	const started: string[] = [];
	const programs = {
		runDaemon: async () => void started.push('daemon'),
		runWorkerHost: async () => void started.push('worker-host'),
	};
	let said = '';
	const { stdout, stderr } = process;
	const write = [stdout.write, stderr.write] as const;
	const take = (text: unknown): boolean => {
		said += String(text);
		return true;
	};
	stdout.write = stderr.write = take as typeof stdout.write;
	let code: number;
	try {
		code = await run(words, programs);
	} finally {
		[stdout.write, stderr.write] = write;
	}
	const line = `${JSON.stringify(words)} → ${code}: ${said.slice(0, 2_000)}`;
	assert.ok(exitCodes.has(code), line);
	assert.ok(!/this should not have happened|^ +at .*:\d+:\d+\)?$/m.test(said), line);
	assert.ok(started.length <= 1 && started.every((name) => words.includes(name)), `${started} was started by ${line}`);
}

const [, , part, folder, inputs, seed] = process.argv;
if (part === 'child' && process.argv[1] === self && folder) {
	await runLines(folder, Number(inputs), Number(seed));
	process.disconnect();
}
