import { test } from 'node:test';
import { runKind } from '../../fuzz/kind.js';
import { kinds } from '../../fuzz/kinds.js';

/** A tenth of what `npm run fuzz` gives. */
const inputs = 100_000;
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000_000);

for (const kind of kinds) {
	test(`${kind.name}, made up or damaged, crash nothing, are never answered with 5xx, change nothing that they may not, and leave nothing behind`, async (context) => {
		context.diagnostic(`FUZZ_SEED=${seed}`);
		await runKind(kind, Math.ceil((inputs * kind.perMille) / 1_000), seed);
	});
}
