import { readFileSync, statSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import { parse } from 'yaml';
import { messageOf, RollcallError } from '../../../../errors.js';
import { evaluateFile, evaluationTimeoutMs, evaluationUser } from './evaluate.js';
import type { Pm2Source } from '../types.js';

const fileBytesMax = 1024 * 1024;
const javascript = ['.js', '.cjs', '.mjs'];
const data = ['.json', '.json5', '.yml', '.yaml'];

/** Reads PM2's configuration file: JavaScript is run, JSON and YAML are only read. Throws `usage`. */
export async function readEcosystemFile(path: string, signal: AbortSignal): Promise<Pm2Source> {
	const file = resolve(path);
	const kind = extname(file).toLowerCase();
	if (!javascript.includes(kind) && !data.includes(kind)) {
		const expected = [...javascript, ...data].join(', ');
		throw new RollcallError('usage', `--from-pm2 takes a file that ends in ${expected}, not '${path}'.`);
	}
	const text = readText(file);
	const folder = dirname(file);
	if (data.includes(kind)) return { content: parseData(file, text), folder, notice: null };
	const user = evaluationUser(file);
	const by = user === null ? '' : ` as the user with id ${user.uid}, who owns it`;
	const content = await evaluateFile(file, signal);
	const notice = `ran ${file} in a child process${by}, for at most ${evaluationTimeoutMs / 1000} s, to see what it exports`;
	return { content, folder, notice };
}

function readText(file: string): string {
	try {
		const { size } = statSync(file);
		if (size <= fileBytesMax) return readFileSync(file, 'utf8');
	} catch (error) {
		throw new RollcallError('usage', `--from-pm2: ${file} cannot be read: ${messageOf(error)}`, {}, { cause: error });
	}
	throw new RollcallError('usage', `--from-pm2: ${file} is longer than ${fileBytesMax} bytes.`);
}

/** PM2's JSON may have comments and commas too many; without them it is YAML. */
function parseData(file: string, text: string): unknown {
	try {
		const isJson = extname(file).toLowerCase().startsWith('.json');
		return parse(isJson ? withoutComments(text) : text, { logLevel: 'error' }) as unknown;
	} catch (error) {
		throw new RollcallError('usage', `${file} cannot be read as data: ${messageOf(error)}`, {}, { cause: error });
	}
}

/** JSON without // and block comments, which leave a blank. Tabs, too, since YAML takes them for indentation. */
function withoutComments(text: string): string {
	const partOrComment = /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\/\/[^\n]*|\/\*[\s\S]*?\*\/|\t/g;
	return text.replace(partOrComment, (part) => (part.startsWith('"') || part.startsWith("'") ? part : ' '));
}
