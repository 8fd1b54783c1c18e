import { createFleet } from '../../../src/fleet/fleet.js';
import type { FleetConfig } from '../../../src/fleet/links/membership.js';
import type { Sync } from '../../../src/fleet/shell/record-log.js';
import type { RolloutRequest } from '../../../src/fleet/types.js';
import { createLogger } from '../../../src/log.js';
import { FakeNode } from '../rollout/fake-node.js';

/**
 * A process with a real fleet and workers that are numbers, driven over its IPC channel. Times are ms on the machine's
 * monotonic clock, so that those of several processes can be compared.
 */
export interface StubOptions {
	config: FleetConfig;
	stateDir: string;
	stepMs: number;
	/** Steps wait for `finish`. */
	held: boolean;
	firstPid: number;
}

export type StubCommand =
	| { ask: 'roll'; request: RolloutRequest }
	| { ask: 'finish' }
	| { ask: 'syncs' }
	| { ask: 'links' }
	| { ask: 'cpu' };

export type StubNews =
	| { news: 'ready' }
	| { news: 'links'; up: number }
	/** `granted`: when RESTART came in, and the set before was looked at to be stored. */
	| { news: 'began'; id: string; at: number; granted: number }
	| { news: 'ended'; id: string; at: number }
	| { news: 'rollout'; id: string; state: string; coordinator: string; at: number }
	| { news: 'answered'; id: string | null; error: string | null; at: number }
	| { news: 'lease'; at: number }
	| { news: 'syncs'; syncs: readonly Sync[] }
	| { news: 'cpu'; micros: number };

const at = (): number => Number(process.hrtime.bigint()) / 1e6;
/** Between the clock of this process alone and the machine's: of several looks the one that nothing came between. */
const sinceStart = Math.max(...Array.from({ length: 100 }, () => at() - performance.now()));
const tell = (news: StubNews): void => {
	process.send?.(news);
};

const options = JSON.parse(process.argv[2] ?? '') as StubOptions;
const local = new FakeNode(options.config.node.name, 2, options.firstPid);
local.stepMs = options.stepMs;
let finish = (): void => undefined;
if (options.held)
	local.hold = new Promise((resolve) => {
		finish = resolve;
	});
const execute = local.execute.bind(local);
const snapshot = local.snapshot.bind(local);
let granted = 0;
local.snapshot = () => {
	granted = at();
	return snapshot();
};
local.execute = async (step) => {
	tell({ news: 'began', id: step.spec.id, at: at(), granted });
	const result = await execute(step);
	tell({ news: 'ended', id: step.spec.id, at: at() });
	return result;
};

const logger = createLogger('silent');
logger.info = (line: unknown): void => {
	if ((line as { event?: string }).event === 'lease_held') tell({ news: 'lease', at: at() });
};
const fleet = await createFleet({
	config: options.config,
	stateDir: options.stateDir,
	version: '0.0.0',
	local,
	readConfig: () => options.config,
	logger,
});
const up = (): number => fleet.clusterStatus().nodes.filter((node) => node.link === 'up').length;
fleet.on('link', () => tell({ news: 'links', up: up() }));
fleet.on('rollout', ({ id, state, coordinator }) => tell({ news: 'rollout', id, state, coordinator, at: at() }));
process.on('message', (command: StubCommand) => void obey(command));
process.on('disconnect', () => void fleet.close().then(() => process.disconnect?.()));
tell({ news: 'ready' });

async function obey(command: StubCommand): Promise<void> {
	switch (command.ask) {
		case 'roll':
			try {
				const { id } = await fleet.startRollout(command.request);
				tell({ news: 'answered', id, error: null, at: at() });
			} catch (error) {
				tell({ news: 'answered', id: null, error: String(error), at: at() });
			}
			return;
		case 'finish':
			finish();
			return;
		case 'syncs':
			tell({ news: 'syncs', syncs: fleet.recordSyncs().map(({ at, ms }) => ({ at: at + sinceStart, ms })) });
			return;
		case 'links':
			tell({ news: 'links', up: up() });
			return;
		case 'cpu': {
			const { user, system } = process.cpuUsage();
			tell({ news: 'cpu', micros: user + system });
			return;
		}
	}
}
