import type { Clock } from '../clock.js';
import { resolveScript } from '../pool/worker-description.js';
import type { Release, Releases, WorkerApp } from '../types.js';
import type { HostLink } from './host-connection.js';
import { releaseOf } from './revision.js';

/** A host that does not answer so long is left out: a plan waits for it. */
const answerMs = 1_000;

/** What new workers of these apps would be started from, as their hosts see it; without a host's word the revision is unknown. */
export async function nextReleases(
	apps: readonly WorkerApp[],
	hostOf: (user: string | null) => HostLink | undefined,
	clock: Clock,
): Promise<Releases> {
	const users = [...new Set(apps.map(({ user }) => user))];
	const told = await Promise.all(
		users.map(async (user) => {
			const own = apps.filter((app) => app.user === user);
			const releases = await ask(hostOf(user), own, clock);
			return own.map((app, index) => [app.name, releases?.[index] ?? seenFromHere(app)] as const);
		}),
	);
	return Object.fromEntries(told.flat());
}

/** null: the host is down, or too busy. */
async function ask(host: HostLink | undefined, apps: readonly WorkerApp[], clock: Clock): Promise<Release[] | null> {
	if (!host?.isUp) return null;
	const scripts = apps.map(({ script }) => script);
	const answer = host
		.client()
		.releases(scripts, answerMs)
		.catch(() => null);
	return Promise.race([answer, clock.sleep(answerMs).then(() => null)]);
}

/** Without a user of their own the workers run as this process does. */
function seenFromHere(app: WorkerApp): Release {
	if (app.user === null) return releaseOf(app.script);
	return { path: resolveScript(app) ?? app.script, revision: null };
}
