import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { delimiter, extname, isAbsolute, join, resolve } from 'node:path';
import { needsShell, splitWords } from './words.js';
import { NotTaken } from './types.js';

/** The program that PM2 would start, as Rollcall's keys have it. */
export interface Program {
	/** `node`, or what runs the script in fork mode. */
	interpreter: string;
	/** Options of the interpreter. */
	options: string[];
	script: string;
	args: string[];
	/** Variables that the command line set in front of the program. */
	env: Record<string, string>;
}

const packageManagers = ['npm', 'yarn', 'pnpm', 'npx', 'bunx'];
/** A script of package.json may run another one. */
const scriptDepthMax = 5;
const packageBytesMax = 1024 * 1024;

export const isPackageManager = (program: string): boolean => packageManagers.includes(baseName(program));

export const baseName = (path: string): string => path.split('/').at(-1) ?? path;

/** Whether a program is Node itself, whatever its path: PM2 also takes `node@18`. */
export const isNode = (program: string): boolean => /^node(?:js|@.*)?$/.test(baseName(program));

/** The program behind one command line, such as `NODE_ENV=production node server.js`. Throws {@link NotTaken}. */
export function programOf(line: string, cwd: string, depth = 0): Program {
	const words = splitWords(line);
	if (words === null || needsShell(line)) {
		throw new NotTaken('script', `'${line}' needs a shell: name the program that listens as script, its words as args`);
	}
	return programOfWords(words, cwd, depth);
}

/** The same for words that are split already. */
export function programOfWords(given: readonly string[], cwd: string, depth = 0): Program {
	const env: Record<string, string> = {};
	const words = [...given];
	if (words[0] === 'cross-env') words.shift();
	for (let match = assignment(words[0]); match !== null; match = assignment(words[0])) {
		env[match.name] = match.value;
		words.shift();
	}
	const [first, ...rest] = words;
	if (first === undefined) throw new NotTaken('script', 'the command line names no program: name the script');
	if (isPackageManager(first)) return withEnvironment(managedProgram(first, rest, cwd, depth), env);
	if (isNode(first)) return withEnvironment(nodeProgram(rest), env);
	const local = join('node_modules/.bin', first);
	if (!first.includes('/') && existsSync(join(cwd, local))) {
		return { interpreter: 'node', options: [], script: `./${local}`, args: rest, env };
	}
	return withEnvironment(otherProgram(first, rest, cwd), env);
}

const withEnvironment = (program: Program, env: Record<string, string>): Program => ({
	...program,
	env: { ...env, ...program.env },
});

function assignment(word: string | undefined): { name: string; value: string } | null {
	const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(word ?? '') ?? [];
	return name === undefined || value === undefined ? null : { name, value };
}

/** `node --import tsx server.js --port 80`: the first word without a dash is the script, but for values of options. */
function nodeProgram(words: readonly string[]): Program {
	const takesValue = ['-r', '--require', '--import', '--loader', '--experimental-loader', '-C', '--conditions'];
	const isScript = (word: string, index: number) =>
		!word.startsWith('-') && !takesValue.includes(words[index - 1] ?? '');
	const at = words.findIndex(isScript);
	const script = words[at];
	if (script === undefined) throw new NotTaken('script', 'node is started without a script: name the script');
	return { interpreter: 'node', options: words.slice(0, at), script, args: words.slice(at + 1), env: {} };
}

/** `python3 app.py`; with options in front, env runs the program itself. */
function otherProgram(program: string, words: readonly string[], cwd: string): Program {
	const [script] = words;
	if (script !== undefined && !script.startsWith('-') && isFile(resolve(cwd, script))) {
		return { interpreter: program, options: [], script, args: words.slice(1), env: {} };
	}
	return directProgram(program, words, cwd);
}

/** A program that no interpreter runs: env(1) starts it under its own name and leaves. */
export function directProgram(program: string, args: readonly string[], cwd: string): Program {
	const found = program.includes('/') ? resolve(cwd, program) : onPath(program);
	if (found === null) {
		throw new NotTaken('script', `${program} is not on PATH: name the program's whole path as script`);
	}
	const script = program.includes('/') && !isAbsolute(program) ? program : found;
	return { interpreter: 'env', options: [], script, args: [...args], env: {} };
}

function onPath(program: string): string | null {
	const folders = (process.env['PATH'] ?? '').split(delimiter).filter(isAbsolute);
	return folders.map((folder) => join(folder, program)).find(isFile) ?? null;
}

export function isFile(path: string): boolean {
	try {
		return statSync(path).isFile();
	} catch {
		return false;
	}
}

/** A package manager starts the app in a process of its own, which no gate reaches: what it would start is named instead. */
function managedProgram(manager: string, words: readonly string[], cwd: string, depth: number): Program {
	const advice = 'name the program that it starts as script, its words as args';
	const refuse = (why: string) => new NotTaken('script', `${baseName(manager)} ${words.join(' ')}: ${why}; ${advice}`);
	if (depth >= scriptDepthMax) throw refuse('its script runs further scripts without end');
	const options = words.findIndex((word) => !word.startsWith('-'));
	const [command, ...rest] = options < 0 ? [] : words.slice(options);
	if (command === undefined) throw refuse('it names no script');
	const args = rest[0] === '--' ? rest.slice(1) : rest;
	if (['npx', 'bunx'].includes(baseName(manager)) || command === 'exec') {
		const [program, ...its] = command === 'exec' ? args : [command, ...args];
		const local = join('node_modules/.bin', program ?? '');
		if (program !== undefined && existsSync(join(cwd, local))) return programOfWords([program, ...its], cwd, depth + 1);
		throw refuse(`${program ?? 'the program'} is not in node_modules/.bin`);
	}
	const isRun = command === 'run' || command === 'run-script';
	const name = isRun ? args[0] : command;
	const line = name === undefined ? null : packageScript(cwd, name);
	if (line === null) throw refuse(`package.json in ${cwd} has no such script`);
	const more = isRun ? args.slice(1).filter((word, index) => index > 0 || word !== '--') : args;
	const program = programOf(line, cwd, depth + 1);
	return { ...program, args: [...program.args, ...more] };
}

function packageScript(cwd: string, name: string): string | null {
	try {
		const file = join(cwd, 'package.json');
		if (statSync(file).size > packageBytesMax) return null;
		const scripts = (JSON.parse(readFileSync(file, 'utf8')) as { scripts?: Record<string, unknown> }).scripts ?? {};
		const line = Object.hasOwn(scripts, name) ? scripts[name] : undefined;
		return typeof line === 'string' ? line : null;
	} catch {
		return null;
	}
}

/** The interpreter of a script that PM2's file gives none: by its ending, else by its first line, as PM2 does. */
export function interpreterFor(script: string, cwd: string): string {
	const ending = extname(script);
	const byEnding: Readonly<Record<string, string>> = {
		'.sh': 'bash',
		'.py': 'python3',
		'.rb': 'ruby',
		'.php': 'php',
		'.pl': 'perl',
		'.coffee': 'coffee',
		'.ls': 'lsc',
	};
	if (ending === '.ts' || ending === '.tsx') return onPath('bun') === null ? 'node' : 'bun';
	if (byEnding[ending] !== undefined) return byEnding[ending];
	if (['.js', '.cjs', '.mjs'].includes(ending)) return 'node';
	const start = startOf(resolve(cwd, script));
	if (start === null) return 'node';
	const [, program, argument] = /^#!\s*(\S+)(?:[ \t]+(?:-S[ \t]+)?(\S+))?/.exec(start) ?? [];
	if (program === undefined) return 'none';
	const named = baseName(program) === 'env' ? argument : program;
	return named === undefined ? 'none' : named;
}

const startBytes = 256;

/** The first bytes of a file; null if it cannot be read. */
function startOf(path: string): string | null {
	if (!isFile(path)) return null;
	try {
		const descriptor = openSync(path, 'r');
		try {
			const buffer = Buffer.alloc(startBytes);
			return buffer.toString('latin1', 0, readSync(descriptor, buffer, 0, startBytes, 0));
		} finally {
			closeSync(descriptor);
		}
	} catch {
		return null;
	}
}
