/**
 * Cuts requests around the handover of their connections: first at every byte, then at random, as many connections as the
 * first argument says (100,000 unless it does); FUZZ_SEED repeats a run. Ends with 1 at the first that is not read as it was
 * sent, or not answered.
 */
import { anyConversation, everyCut, HandoffLine } from '../support/workers/handoff.js';
import { Random } from '../support/random.js';

const atOnce = 500;
const wanted = Number(process.argv[2] ?? 100_000);
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000_000);
const random = new Random(seed);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

say(`seed ${seed}`);
const line = new HandoffLine();
const began = performance.now();
try {
	const table = everyCut();
	for (let at = 0; at < table.length; at += atOnce) await line.run(table.slice(at, at + atOnce));
	say(`${line.connections} connections cut at every byte, ${line.handedOver} handed over`);
	while (line.connections < wanted) {
		const count = Math.min(atOnce, wanted - line.connections);
		await line.run(Array.from({ length: count }, () => anyConversation(random)));
	}
} finally {
	await line.stop();
}
const seconds = ((performance.now() - began) / 1_000).toFixed(0);
say(
	`${line.connections} connections in ${seconds} s, ${line.handedOver} handed over: all requests read as they were sent`,
);
