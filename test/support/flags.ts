import { type ParseArgsConfig, parseArgs } from 'node:util';

/** What was typed cannot be meant: told in one line, and the program ends with 2. */
export class WrongFlag extends Error {}

/** Node's parseArgs; what it does not know is told together with what there is. */
export function readFlags<const Options extends NonNullable<ParseArgsConfig['options']>>(options: Options) {
	try {
		return parseArgs({ options }).values;
	} catch (error) {
		const [why = ''] = (error instanceof Error ? error.message : String(error)).split('. ');
		const known = Object.entries(options).map(([name, { type }]) => (type === 'string' ? `--${name} …` : `--${name}`));
		throw new WrongFlag(`${why.replaceAll('\n', ' ')}; the flags are ${known.join(', ')}`);
	}
}

export function readCount(flag: string, text: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
	const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
	if (value >= min && value <= max) return value;
	const upTo = max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`;
	throw new WrongFlag(`--${flag} takes a whole number from ${min}${upTo}, not '${text}'`);
}

/** Runs a program of the tests to its exit code. */
export async function run(program: string, main: () => Promise<number>): Promise<void> {
	try {
		process.exitCode = await main();
	} catch (error) {
		if (!(error instanceof WrongFlag)) throw error;
		process.stderr.write(`${program}: ${error.message}. Nothing was run.\n`);
		process.exitCode = 2;
	}
}
