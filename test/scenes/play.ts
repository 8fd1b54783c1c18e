import { performance } from 'node:perf_hooks';
import { type Host, hosts, instances, type SceneFleet } from './fleet.js';
import { Operator } from './operator.js';
import type { Outcome, Scene } from './scene.js';

const answersAfterwards = 4 * instances;

/** One scene, judged by what clients and the workers' own records say. */
export async function play(fleet: SceneFleet, scene: Scene, talk: (text: string) => void): Promise<Outcome> {
	const startedAt = performance.now();
	const operator = new Operator(fleet, talk);
	const before = standOf(fleet);
	const broken: string[] = [];
	try {
		await scene.play({ fleet, operator });
		await fleet.settled();
		for (const host of fleet.inside) if (!fleet.hasLoad(host)) fleet.startLoad(host);
		await Promise.all(loaded(fleet).map((host) => fleet.load(host).answered(answersAfterwards)));
		if (scene.ends === 'as before' && fleet.members.join() !== before.members)
			broken.push(`other members than before: ${fleet.members.join()}`);
	} catch (error) {
		broken.push(error instanceof Error ? error.message : String(error));
	}
	const { lost, texts } = await losses(fleet, before);
	const { twice, missing } = replaced(fleet, scene, before);
	const repeated = twice.map(({ host, count }) => `${host} had ${count} new workers in ${scene.rolls} rolls`);
	if (broken.length === 0) broken.push(...missing);
	broken.push(...texts, ...repeated);
	const first = operator.first;
	return {
		scene,
		broken,
		saw: first?.text ?? '',
		exit: first?.code ?? null,
		commands: first ? operator.all.length - operator.all.indexOf(first) - 1 : 0,
		lost,
		twice: twice.map(({ host }) => host),
		durationMs: performance.now() - startedAt,
	};
}

interface Stand {
	members: string;
	/** Starts of workers until now, by their own records. */
	births: ReadonlyMap<Host, number>;
	lost: ReadonlyMap<Host, number>;
}

const loaded = (fleet: SceneFleet): Host[] => hosts.filter((host) => fleet.hasLoad(host));

const standOf = (fleet: SceneFleet): Stand => ({
	members: fleet.members.join(),
	births: new Map(hosts.map((host) => [host, fleet.births(host)])),
	lost: new Map(loaded(fleet).map((host) => [host, fleet.load(host).lost])),
});

/** A load that has lost something is ended for its reasons, and begun anew for the next scene. */
async function losses(fleet: SceneFleet, before: Stand): Promise<{ lost: number; texts: string[] }> {
	const found = { lost: 0, texts: [] as string[] };
	for (const host of loaded(fleet)) {
		if (fleet.load(host).lost === (before.lost.get(host) ?? 0)) continue;
		const { lost, failures } = await fleet.stopLoad(host);
		found.lost += lost;
		found.texts.push(`${lost} requests lost on ${host}: ${failures.join('; ')}`);
		fleet.startLoad(host);
	}
	return found;
}

/** Each roll that completes replaces a node's workers once; nothing else does. */
function replaced(fleet: SceneFleet, scene: Scene, before: Stand) {
	const wanted = scene.rolls * instances;
	const counts = fleet.inside
		.filter((host) => !scene.spoils?.includes(host))
		.map((host) => ({ host, count: fleet.births(host) - (before.births.get(host) ?? 0) }));
	return {
		twice: counts.filter(({ count }) => count > wanted),
		missing: counts
			.filter(({ count }) => count < wanted)
			.map(({ host, count }) => `${host} replaced ${count} of ${wanted} workers`),
	};
}
