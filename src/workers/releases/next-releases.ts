import { messageOf, RollcallError } from '../../errors.js';
import { releaseOf } from '../host/revision.js';
import type { HostLink } from '../host/host-connection.js';
import type { Clock } from '../clock.js';
import type { SeenRelease } from '../pm2/releases.js';
import type { Release, Releases, WorkerApp } from '../types.js';
import { startOf } from '../pool/worker-description.js';
import { assertStartable } from './put-back.js';

/** A host that does not answer so long is left out: a plan waits for it. */
const answerMs = 1_000;
/** A start waits longer: a host that is only busy answers, and one that is gone says so at once. */
const startAnswerMs = 10_000;

/** What new workers of these apps would be started from now, as their hosts see it; without a host's word the revision is unknown. */
export async function nextReleases(
	apps: readonly WorkerApp[],
	hostOf: (user: string | null) => HostLink | undefined,
	clock: Clock,
): Promise<Releases> {
	const users = [...new Set(apps.map(({ user }) => user))];
	const told = await Promise.all(
		users.map(async (user) => {
			const own = apps.filter((app) => app.user === user);
			const releases = await askHost(hostOf(user), own, clock);
			return own.map((app, index) => [app.name, plain(releases?.[index] ?? seenFromHere(app))] as const);
		}),
	);
	return Object.fromEntries(told.flat());
}

/** Throws `unavailable` where a worker of the app cannot be started by its host. */
export async function assertHostCanStart(host: HostLink, app: WorkerApp, clock: Clock): Promise<void> {
	try {
		await assertStartable([app], (apps) => askHost(host, apps, clock, startAnswerMs));
	} catch (error) {
		if (!app.pinned) throw error;
		const help = `restart_service service=http_workers app=${app.name} starts what http_workers says instead`;
		const text = `${messageOf(error)}. Rollout ${app.pinned.rollout} left it there (${app.pinned.reason}): bring that release back and restart, or ${help}`;
		throw new RollcallError('unavailable', text, {}, { cause: error });
	}
}

/** What the host of these apps sees where they would start; null: it is down, or too busy. */
export async function askHost(
	host: HostLink | undefined,
	apps: readonly WorkerApp[],
	clock: Clock,
	withinMs = answerMs,
): Promise<SeenRelease[] | null> {
	if (!host?.isUp) return null;
	const scripts = apps.map((app) => app.pinned?.path ?? app.script);
	const answer = host
		.client()
		.releases(
			scripts,
			apps.map((app) => app.pinned?.cwd ?? app.cwd),
			withinMs,
		)
		.catch(() => null);
	return Promise.race([answer, clock.sleep(withinMs).then(() => null)]);
}

const plain = ({ path, revision }: Release): Release => ({ path, revision });

/** Without a user of their own the workers run as this process does. */
function seenFromHere(app: WorkerApp): Release {
	if (app.user === null) return seenByThis(app);
	return { path: startOf(app)?.script ?? app.pinned?.path ?? app.script, revision: null };
}

/** As this process sees it. */
export const seenByThis = ({ script, cwd, pinned }: WorkerApp): SeenRelease =>
	releaseOf(pinned?.path ?? script, pinned?.cwd ?? cwd);
