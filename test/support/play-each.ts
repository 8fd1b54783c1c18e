/** Items that each need a real fleet, played one after the other on as few fleets as that allows. */
interface Parts<Item, Fleet, Outcome> {
	/** Called with what the fleet has to be started with for the item. */
	start(needsClocks: boolean): Promise<Fleet>;
	needsClocks(item: Item): boolean;
	canTurnClocks: boolean;
	play(fleet: Fleet, item: Item): Promise<Outcome>;
	/** The line that a played item gets, and the name of one that cannot be played. */
	row(outcome: Outcome): string;
	nameOf(item: Item): string;
	/** What the items are called. */
	plural: string;
}

const write = (text: string): void => void process.stdout.write(`${text}\n`);

/** Prints a line for each item, and what they came to; resolves to the exit code. What runs at a signal comes to its end first. */
export async function playEach<
	Item,
	Fleet extends { end(): Promise<void> },
	Outcome extends { broken: readonly string[] },
>(
	items: readonly Item[],
	{ start, needsClocks, canTurnClocks, play, row, nameOf, plural }: Parts<Item, Fleet, Outcome>,
): Promise<number> {
	const startedAt = performance.now();
	const outcomes: Outcome[] = [];
	let notRun = 0;
	let fleet: Fleet | null = null;
	let clocks = false;
	let interrupted = false;
	// So that no process, network or disk is left behind.
	for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
		process.on(signal, () => {
			interrupted = true;
		});
	try {
		for (const item of items) {
			if (interrupted) break;
			if (needsClocks(item) && !canTurnClocks) {
				notRun += 1;
				write(`${nameOf(item)} | not run: libfaketime is not installed`);
				continue;
			}
			if (fleet && clocks !== needsClocks(item)) {
				await fleet.end();
				fleet = null;
			}
			clocks = needsClocks(item);
			fleet ??= await start(clocks);
			const outcome = await play(fleet, item);
			outcomes.push(outcome);
			write(row(outcome));
			if (outcome.broken.length === 0) continue;
			// What it left behind must not be taken for the next one's.
			await fleet.end();
			fleet = null;
		}
	} finally {
		await fleet?.end();
	}
	const broken = outcomes.filter((outcome) => outcome.broken.length > 0);
	const took = Math.round((performance.now() - startedAt) / 1000);
	write(`${outcomes.length - broken.length} held, ${broken.length} broken, ${notRun} not run, in ${took} s`);
	if (interrupted) write(`interrupted: ${items.length - outcomes.length - notRun} ${plural} are missing`);
	return interrupted || broken.length > 0 || outcomes.length === 0 ? 1 : 0;
}
