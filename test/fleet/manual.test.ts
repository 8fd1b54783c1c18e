/** What the pages say to type is typed, word by word, on a fleet on loopback; `npm run test:manual` types all of them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LoopbackStage } from '../manual/loopback.js';
import { playPages } from '../manual/player.js';
import { plays } from '../manual/plays.js';

let stage: LoopbackStage;
before(async () => {
	stage = await LoopbackStage.start();
});
after(() => stage?.end());

for (const play of plays.filter(({ quick }) => quick)) {
	test(`the commands of ${play.block} end as the page says`, async () => {
		let count = 0;
		for await (const { statement, code, expected, said } of playPages(stage, [play])) {
			assert.equal(code, expected, `${statement}\n${said}`);
			count += 1;
		}
		assert.ok(count > 0);
	});
}
