import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { issueCertificate } from '../../../src/system/openssl.js';
import { waitFor } from '../../support/fleet/nodes.js';
import { hosts } from '../fleet.js';
import type { Operator } from '../operator.js';
import { allPresented } from '../presented.js';
import type { Scene, Stage } from '../scene.js';

export const takeUp = 'rollcall restart_service service=clustering_config replicated=true';
const takeUpHere = 'rollcall restart_service service=clustering_config';
const shortMs = 6_000;

/** One step of a rotation by the manual's words. */
async function rotationStep(operator: Operator, step: 1 | 2 | 3): Promise<void> {
	const asks = `rollcall ca rotate --status ${await operator.statusFile('alpha')}${step === 1 ? ' --begin' : ''}`;
	assert.equal((await operator.typesAtHome(asks)).code, 0);
	for (const host of hosts) operator.copies(host, ...(step === 2 ? ['ca.pem', 'cert.pem', 'key.pem'] : ['ca.pem']));
}

async function rotated({ fleet }: Stage, before: { issuer: string }[]): Promise<void> {
	const after = await allPresented(fleet);
	for (const [index, { issuer }] of after.entries()) assert.notEqual(issuer, before[index]?.issuer);
	await waitFor('no word of a rotation', async () => {
		const status = await fleet
			.node('alpha')
			.call<{ nodes: { authorities: { accepts: unknown[] } | null }[] }>('cluster_status');
		return status.json.nodes.every(({ authorities }) => authorities?.accepts.length === 1);
	});
}

export const certificates: readonly Scene[] = [
	{
		name: 'renew',
		did: 'new certificates for all, taken up by clustering_config',
		ends: 'done',
		rolls: 0,
		quick: true,
		play: async ({ fleet, operator }) => {
			const before = await allPresented(fleet);
			for (const host of hosts) {
				await operator.issues(host);
			}
			assert.equal((await operator.types('alpha', takeUp)).code, 0);
			const after = await allPresented(fleet);
			for (const [index, { serial }] of after.entries()) assert.notEqual(serial, before[index]?.serial);
		},
	},
	{
		name: 'expire',
		did: "gamma's certificate expires, then its daemon restarts",
		ends: 'as before',
		rolls: 0,
		play: async ({ fleet, operator }) => {
			const to = Date.now() + shortMs;
			const dir = join(fleet.home, 'fleet-ca');
			const short = await issueCertificate(
				dir,
				fleet.nameOf('gamma'),
				{ from: Date.now() - 60_000, to },
				new AbortController().signal,
			);
			writeFileSync(fleet.tls('gamma', 'cert.pem'), short.cert);
			writeFileSync(fleet.tls('gamma', 'key.pem'), short.key, { mode: 0o600 });
			await fleet.node('gamma').kill();
			await fleet.startDaemon('gamma');
			await waitFor('the certificate to be over', () => Date.now() > to);
			await fleet.node('gamma').kill();
			await fleet.startDaemon('gamma');
			const wrong = /the certificate of gamma[^\n]* has expired[^\n]*rollcall ca issue gamma --force/;
			operator.sees(await operator.looks('alpha', wrong));
			const said = await operator.looks('gamma', wrong);
			await operator.follows(said, {
				mend: () => operator.issues('gamma'),
				until: () => fleet.isWhole(),
			});
		},
	},
	{
		name: 'rotate',
		did: 'a new authority by the three steps of ca rotate',
		ends: 'done',
		rolls: 0,
		play: async (stage) => {
			const { fleet, operator } = stage;
			const before = await allPresented(fleet);
			for (const step of [1, 2, 3] as const) {
				await rotationStep(operator, step);
				assert.equal((await operator.types('alpha', takeUp)).code, 0);
			}
			await rotated(stage, before);
		},
	},
	{
		name: 'coordinator killed amid rotation',
		did: 'as rotate; in each step the coordinator is killed while the change runs, and started again',
		ends: 'done',
		rolls: 0,
		play: async (stage) => {
			const { fleet, operator } = stage;
			const before = await allPresented(fleet);
			for (const step of [1, 2, 3] as const) {
				if (step === 1) await rotationStep(operator, step);
				const typed = operator.types('alpha', takeUp);
				await fleet.runs('alpha');
				await fleet.node('alpha').kill();
				await fleet.startDaemon('alpha');
				const said = operator.sees(await typed);
				await fleet.settled();
				if (said.code !== 0) await operator.follows(said, { until: () => fleet.isWhole() });
				// By the word of the page: the same command again says what is missing, and what brings it there.
				const next = step === 3 ? 'no rotation' : `step ${step + 1} of 3`;
				let asked = await operator.typesAtHome(`rollcall ca rotate --status ${await operator.statusFile('alpha')}`);
				if (!asked.text.startsWith(next)) {
					await operator.follows({ ...asked, on: 'alpha' }, { until: () => fleet.isWhole() });
					asked = await operator.typesAtHome(`rollcall ca rotate --status ${await operator.statusFile('alpha')}`);
				}
				assert.ok(asked.text.startsWith(next), asked.text);
				for (const host of hosts) operator.copies(host, 'ca.pem', 'cert.pem', 'key.pem');
			}
			await rotated(stage, before);
		},
	},
];
export { takeUpHere };
