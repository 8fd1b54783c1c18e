/** `npm run simulate -- --seeds N [--seed S] [--mutants] [--log]` */
import { planOf } from './plan.js';
import { runPlan } from './world.js';

const seeds = Number(process.argv[process.argv.indexOf('--seeds') + 1] || 100);
const from = process.argv.includes('--seed') ? Number(process.argv[process.argv.indexOf('--seed') + 1]) : 1;
const t = Date.now();
let bad = 0;
const sum: Record<string, number> = {};
for (let s = from; s < from + (process.argv.includes('--log') ? 1 : seeds); s++) {
	const o = runPlan(
		planOf(s),
		process.argv.includes('--log') ? { log: (l) => process.stdout.write(l.slice(0, 700) + '\n') } : {},
	);
	for (const [k, v] of Object.entries(o)) if (typeof v === 'number') sum[k] = (sum[k] ?? 0) + v;
	if (o.violation) {
		bad++;
		process.stdout.write(`${s} ${JSON.stringify(o.violation)}\n`);
		if (bad > 25) break;
	}
}
process.stdout.write(`${bad} bad; ${JSON.stringify(sum)} ${Date.now() - t} ms\n`);
