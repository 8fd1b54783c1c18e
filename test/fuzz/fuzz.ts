/**
 * Gives made-up and damaged input to every way into the program: a million unless the first argument says otherwise; FUZZ_SEED
 * repeats a run. Prints how many of each kind; ends with 1 at the first that crashes something, is answered with 5xx,
 * changes what its sender may not change, or leaves memory behind.
 */
import { kinds } from './kinds.js';
import { runKind } from './kind.js';

const wanted = Number(process.argv[2] ?? 1_000_000);
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000_000);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

let total = 0;
const began = performance.now();
say(`seed ${seed}`);
for (const kind of kinds) {
	const inputs = Math.ceil((wanted * kind.perMille) / 1_000);
	const start = performance.now();
	const growth = await runKind(kind, inputs, seed);
	total += inputs;
	const seconds = ((performance.now() - start) / 1_000).toFixed(1);
	say(`${kind.name}: ${inputs} inputs in ${seconds} s, ${(growth / 1_048_576).toFixed(1)} MiB left behind`);
}
const seconds = ((performance.now() - began) / 1_000).toFixed(0);
say(`${total} inputs in ${seconds} s: no crash, no 5xx, nothing changed by who may not, no memory left behind`);
