import type { LoadBalancer } from "@holdfast/routing";

export interface AddressPlanOptions {
  /** Of the first load balancer; 0: any free one for each. */
  readonly httpPort: number;
  readonly httpsPort: number;
}

/** Where a load balancer is to be listened for. */
export interface PlannedAddress {
  readonly loadBalancer: string;
  readonly tls: boolean;
  /** 0: any free one. Above 65,535 where there are more load balancers than ports. */
  readonly port: number;
  /** What chooses the port. */
  readonly portFlag: string;
}

/**
 * Gives each load balancer ports of its own: the first one the first port, the next one the next. One that stays keeps
 * its ports whatever comes and goes; one that comes takes the lowest that are free.
 */
export class AddressPlan {
  readonly #options: AddressPlanOptions;
  readonly #places = new Map<string, number>();

  constructor(options: AddressPlanOptions) {
    this.#options = options;
  }

  plan(loadBalancers: readonly LoadBalancer[]): PlannedAddress[] {
    const names = new Set(loadBalancers.map(({ name }) => name));
    for (const name of this.#places.keys()) if (!names.has(name)) this.#places.delete(name);
    return loadBalancers.flatMap(({ name, plainHttp, certificates }) => {
      const place = this.#placeOf(name);
      const at = (first: number) => (first === 0 ? 0 : first + place);
      const { httpPort, httpsPort } = this.#options;
      const http = { loadBalancer: name, tls: false, port: at(httpPort), portFlag: "--http-port" };
      const https = { loadBalancer: name, tls: true, port: at(httpsPort), portFlag: "--https-port" };
      return [...(plainHttp ? [http] : []), ...(certificates ? [https] : [])];
    });
  }

  #placeOf(name: string): number {
    const known = this.#places.get(name);
    if (known !== undefined) return known;
    const taken = new Set(this.#places.values());
    let place = 0;
    while (taken.has(place)) place += 1;
    this.#places.set(name, place);
    return place;
  }
}
