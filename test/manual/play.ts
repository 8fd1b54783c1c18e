/**
 * The commands of the README and the manual, typed word by word on a real fleet.
 *   npm run test:manual                        those that need no systemd, on three daemons on loopback
 *   npm run test:manual -- --page steering     those of the pages whose names hold these words; --talk prints the answers
 */
import { readFlags, run, WrongFlag } from '../support/flags.js';
import { LoopbackStage } from './loopback.js';
import { playPages } from './player.js';
import { plays } from './plays.js';

const write = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<number> {
	const flags = readFlags({ page: { type: 'string' }, talk: { type: 'boolean' } });
	const words = flags.page?.split(',') ?? [''];
	const chosen = plays.filter(({ block }) => words.some((word) => block.includes(word)));
	if (chosen.length === 0) throw new WrongFlag(`no page with commands holds '${flags.page}'`);
	const stage = await LoopbackStage.start();
	let wrong = 0;
	let count = 0;
	try {
		for await (const { block, statement, code, expected, said, tookMs } of playPages(stage, chosen)) {
			count += 1;
			if (code !== expected) wrong += 1;
			const how = code === expected ? `exit ${code}` : `EXIT ${code}, not ${expected}`;
			write(`${block} | ${statement.split('\n')[0]} | ${how} | ${(tookMs / 1000).toFixed(1)} s`);
			if (flags.talk || code !== expected) write(said);
		}
	} finally {
		await stage.end();
	}
	write(`${count} commands, ${wrong} of them ended otherwise than the page says`);
	return wrong === 0 ? 0 : 1;
}

await run('manual', main);
