import { runInNewContext } from 'node:vm';
import { setFlagsFromString } from 'node:v8';
import { Random } from '../support/random.js';

/** One way into the program that takes input from others. */
export interface FuzzKind {
	name: string;
	/** Of a thousand inputs, how many are of this kind. */
	perMille: number;
	/** Gives that many inputs; rejects with the first that is not dealt with as it must be, and what it was. */
	run(inputs: number, seed: number): Promise<void>;
}

const tokens = [
	'{',
	'}',
	'[',
	']',
	'"',
	':',
	',',
	'\\',
	'\r\n',
	'\0',
	'null',
	'-1',
	'1e999',
	'__proto__',
	'\ud800',
	'%',
	'=',
	'--',
];

/** Some of the bytes set, flipped, dropped, doubled, cut, or put into another sample. At most 64 KiB. */
export function mutate(random: Random, samples: readonly Buffer[]): Buffer {
	let bytes = random.pick(samples);
	for (let changes = random.between(0, 4); changes > 0; changes--) {
		const at = random.between(0, bytes.length);
		const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
		switch (random.between(0, 7)) {
			case 0:
				bytes = Buffer.concat([head, Buffer.from([random.between(0, 255)]), tail.subarray(1)]);
				break;
			case 1:
				bytes = Buffer.concat([head, Buffer.from([(tail[0] ?? 0) ^ (1 << random.between(0, 7))]), tail.subarray(1)]);
				break;
			case 2:
				bytes = Buffer.concat([head, tail.subarray(random.between(1, 8))]);
				break;
			case 3:
				bytes = Buffer.concat([head, tail.subarray(0, random.between(1, 64)), tail]);
				break;
			case 4:
				bytes = Buffer.from(head);
				break;
			case 5: {
				const other = random.pick(samples);
				bytes = Buffer.concat([head, other.subarray(random.between(0, other.length))]);
				break;
			}
			default:
				bytes = Buffer.concat([head, Buffer.from(random.pick(tokens)), tail]);
		}
	}
	return bytes.subarray(0, 65_536);
}

export const seeded = (seed: number): Random => new Random(seed);

/** An input as it can be given again, whatever bytes it holds. */
export const shown = (bytes: Buffer): string =>
	`${JSON.stringify(bytes.toString('utf8').slice(0, 400))} (${bytes.toString('base64')})`;

let collect: (() => void) | null = null;

/** What lives, in bytes, once the garbage is gone. */
export function liveBytes(): number {
	if (!collect) {
		setFlagsFromString('--expose-gc');
		collect = runInNewContext('gc') as () => void;
	}
	collect();
	const { heapUsed, external } = process.memoryUsage();
	return heapUsed + external;
}

const growthBytesMax = 32 * 1024 * 1024;

/** Runs a kind; the last nine tenths of its inputs must leave nothing behind. Answers what they did leave, in bytes. */
export async function runKind(kind: FuzzKind, inputs: number, seed: number): Promise<number> {
	const first = Math.ceil(inputs / 10);
	await kind.run(first, seed);
	const before = liveBytes();
	await kind.run(inputs - first, seed + 1);
	const growth = liveBytes() - before;
	if (growth > growthBytesMax) throw new Error(`${kind.name}: ${inputs - first} inputs left ${growth} bytes behind`);
	return growth;
}
