import { resolve } from 'node:path';
import { nodeArgumentFault } from '../../../config/checks/node-options.js';
import {
	directProgram,
	interpreterFor,
	isFile,
	isNode,
	isPackageManager,
	type Program,
	programOf,
	programOfWords,
} from './command.js';
import { NotTaken, type Pm2App, type Remarks } from './types.js';
import { wordsOf } from './words.js';

/** What runs, from script, args, interpreter and node_args. Throws {@link NotTaken} where nothing can. */
export function programFor(app: Pm2App, cwd: string, remarks: Remarks): Program {
	const { script } = app;
	if (typeof script !== 'string' || script.trim() === '') throw new NotTaken('script', 'it names no script');
	const args = listOf(app, 'args');
	const options = listOf(app, 'node_args');
	const given = typeof app['interpreter'] === 'string' ? app['interpreter'] : null;
	const found = fromScript(script, args, given, cwd);
	const program = withOptions({ ...found, options: [...found.options, ...options] }, cwd, remarks);
	tell(app, program, given, args, remarks);
	return program;
}

function listOf(app: Pm2App, field: string): string[] {
	const words = wordsOf(app[field]);
	if (words !== null) return words;
	throw new NotTaken(field, 'it is neither a text nor a list of texts, or a quote in it is not closed');
}

function fromScript(script: string, args: string[], given: string | null, cwd: string): Program {
	const isThere = isFile(resolve(cwd, script));
	if (isPackageManager(script) && !isThere) return programOfWords([script, ...args], cwd);
	if (/\s/.test(script.trim()) && !isThere) {
		const program = programOf(script, cwd);
		return { ...program, args: [...program.args, ...args] };
	}
	const interpreter = given ?? interpreterFor(script, cwd);
	if (interpreter === 'none') return directProgram(script, args, cwd);
	const plain = { options: [], script, args, env: {} };
	return isNode(interpreter) ? { interpreter: 'node', ...plain } : { interpreter, ...plain };
}

/** Options of Node become node_args. Another interpreter has none, so env(1) starts it with them in front of the script. */
function withOptions(program: Program, cwd: string, remarks: Remarks): Program {
	if (program.interpreter === 'node') return { ...program, options: possibleOptions(program.options, remarks) };
	if (program.options.length === 0) return program;
	const { interpreter, options, script, args, env } = program;
	if (interpreter === 'env') throw new NotTaken('node_args', 'a program without an interpreter has no options of one');
	const direct = directProgram(interpreter, [...options, script, ...args], cwd);
	remarks.changed('node_args', 'args: env starts the interpreter with its options, then the script');
	return { ...direct, env };
}

function possibleOptions(given: readonly string[], remarks: Remarks): string[] {
	const options = [...given];
	for (let fault = nodeArgumentFault(options); fault !== null; fault = nodeArgumentFault(options)) {
		remarks.leftOut('node_args', `expected ${fault.expected}, got ${fault.got}`);
		options.splice(fault.index, 1);
	}
	return options;
}

function tell(app: Pm2App, program: Program, given: string | null, args: string[], remarks: Remarks): void {
	const { script, interpreter, options } = program;
	if (script === app['script']) remarks.taken('script', `script: ${script}`);
	else remarks.changed('script', `script: ${script}, the program that ${String(app['script'])} comes to`);
	if (args.length > 0) remarks.taken('args', `args, ${args.length} of them`);
	if (app['node_args'] !== undefined && options.length > 0)
		remarks.taken('node_args', `node_args: ${options.join(' ')}`);
	if (interpreter !== 'node') {
		const text = `interpreter: ${interpreter}, in fork mode: proven on its port, without the gate`;
		if (interpreter === given) remarks.taken('interpreter', text);
		else remarks.changed('interpreter', text);
	} else if (given !== null) {
		if (given === 'node') remarks.taken('interpreter', 'interpreter: node');
		else remarks.changed('interpreter', `interpreter: node, which is Rollcall's own Node: ${process.version}`);
	}
	if (/\.tsx?$/.test(script) && interpreter === 'node' && options.length === 0) {
		remarks.changed('script', 'TypeScript needs a loader on Node before 22.18: node_args: ["--import", "tsx"]');
	}
}
