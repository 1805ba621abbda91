package hapi;

import ca.uhn.fhir.batch2.api.IJobMaintenanceService;
import ca.uhn.fhir.batch2.jobs.config.Batch2JobsConfig;
import ca.uhn.fhir.batch2.jobs.export.BulkDataExportProvider;
import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.config.ThreadPoolFactoryConfig;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.batch2.JpaBatch2Config;
import ca.uhn.fhir.jpa.config.HapiJpaConfig;
import ca.uhn.fhir.jpa.config.r4.JpaR4Config;
import ca.uhn.fhir.jpa.config.util.HapiEntityManagerFactoryUtil;
import ca.uhn.fhir.jpa.model.config.PartitionSettings;
import ca.uhn.fhir.jpa.model.config.SubscriptionSettings;
import ca.uhn.fhir.jpa.model.dialect.HapiFhirH2Dialect;
import ca.uhn.fhir.jpa.provider.IJpaSystemProvider;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.jpa.subscription.channel.config.SubscriptionChannelConfig;
import ca.uhn.fhir.jpa.subscription.match.config.SubscriptionProcessorConfig;
import ca.uhn.fhir.jpa.subscription.match.deliver.email.IEmailSender;
import ca.uhn.fhir.jpa.subscription.submit.config.SubscriptionSubmitterConfig;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.interceptor.CorsInterceptor;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import jakarta.persistence.EntityManagerFactory;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import javax.sql.DataSource;
import org.hl7.fhir.dstu2.model.Subscription;
import org.springframework.beans.factory.config.ConfigurableListableBeanFactory;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.ImportAutoConfiguration;
import org.springframework.boot.autoconfigure.jdbc.DataSourceAutoConfiguration;
import org.springframework.boot.autoconfigure.web.servlet.ServletWebServerFactoryAutoConfiguration;
import org.springframework.boot.web.context.WebServerInitializedEvent;
import org.springframework.boot.web.servlet.ServletRegistrationBean;
import org.springframework.context.ApplicationListener;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.context.annotation.Primary;
import org.springframework.orm.jpa.JpaTransactionManager;
import org.springframework.orm.jpa.LocalContainerEntityManagerFactoryBean;
import org.springframework.web.cors.CorsConfiguration;

/**
 * A real HAPI FHIR R4 server for trials and tests: loopback only, all data in memory, gone at the end.
 *
 * <p>System properties: {@code hapi.port} (0: any free one), {@code hapi.page-size} and
 * {@code hapi.largest-page} (HAPI's own: 10 and 50), {@code hapi.stop-with-parent} (false), {@code hapi.origins}
 * (origins of pages that may read and write here, separated by commas; none).
 */
@Configuration
// These two only: all that Spring Boot would find by itself includes a client that calls port 9200.
@ImportAutoConfiguration({DataSourceAutoConfiguration.class, ServletWebServerFactoryAutoConfiguration.class})
@Import({JpaR4Config.class, HapiJpaConfig.class, JpaBatch2Config.class, Batch2JobsConfig.class,
    ThreadPoolFactoryConfig.class, SubscriptionSubmitterConfig.class, SubscriptionProcessorConfig.class,
    SubscriptionChannelConfig.class})
public class HapiServer {

  public static void main(String[] args) {
    if (Boolean.getBoolean("hapi.stop-with-parent")) {
      stopWithParent();
    }
    SpringApplication server = new SpringApplication(HapiServer.class);
    server.setDefaultProperties(Map.of(
        "server.address", "127.0.0.1",
        "server.port", Integer.getInteger("hapi.port", 0).toString(),
        "spring.datasource.url", "jdbc:h2:mem:fhir;DB_CLOSE_DELAY=-1",
        "spring.main.allow-circular-references", "true",
        "spring.main.allow-bean-definition-overriding", "true",
        "spring.main.banner-mode", "off",
        "logging.level.root", "WARN"));
    server.run(args);
  }

  /** Two signs, because a killed parent may stay a zombie, and a fork of it may keep the pipe open. */
  private static void stopWithParent() {
    ProcessHandle.current().parent().ifPresent(parent -> parent.onExit().thenRun(HapiServer::halt));
    Thread watch = new Thread(() -> {
      try {
        while (System.in.read() >= 0) { }
      } catch (IOException broken) {
        // A broken pipe means what its end means: nobody is there.
      }
      halt();
    }, "parent-watch");
    watch.setDaemon(true);
    watch.start();
  }

  /** At once, without shutdown hooks: the data is in memory, nothing is worth waiting for. */
  private static void halt() {
    Runtime.getRuntime().halt(0);
  }

  /** The line run.py waits for: only the server itself knows its port when it asked for any free one. */
  @Bean
  ApplicationListener<WebServerInitializedEvent> announce() {
    return started -> System.out.println("FHIR base: http://127.0.0.1:" + started.getWebServer().getPort() + "/fhir");
  }

  /**
   * HAPI looks once a minute how far a job of $export is, and a job has several steps: here every second, so that an
   * export of little data takes seconds.
   */
  @Bean
  ApplicationListener<WebServerInitializedEvent> jobs(IJobMaintenanceService maintenance) {
    return started -> {
      Thread passes = new Thread(() -> {
        try {
          while (true) {
            Thread.sleep(1000);
            maintenance.runMaintenancePass();
          }
        } catch (InterruptedException ended) {
          // The server stops.
        }
      }, "job-maintenance");
      passes.setDaemon(true);
      passes.start();
    };
  }

  @Bean
  JpaStorageSettings storageSettings() {
    JpaStorageSettings settings = new JpaStorageSettings();
    // A patient's resources may be loaded in any order.
    settings.setEnforceReferentialIntegrityOnWrite(false);
    return settings;
  }

  @Bean
  PartitionSettings partitionSettings() {
    return new PartitionSettings();
  }

  @Bean
  SubscriptionSettings subscriptionSettings() {
    SubscriptionSettings settings = new SubscriptionSettings();
    settings.addSupportedSubscriptionType(Subscription.SubscriptionChannelType.RESTHOOK);
    return settings;
  }

  /** HAPI asks for one, though no channel is by mail. */
  @Bean
  IEmailSender emailSender() {
    return details -> { };
  }

  @Bean
  LocalContainerEntityManagerFactoryBean entityManagerFactory(
      DataSource database, ConfigurableListableBeanFactory beans, FhirContext fhir, JpaStorageSettings settings) {
    var factory = HapiEntityManagerFactoryUtil.newEntityManagerFactory(beans, fhir, settings);
    factory.setPersistenceUnitName("fhir");
    factory.setDataSource(database);
    factory.setJpaPropertyMap(Map.of(
        "hibernate.dialect", HapiFhirH2Dialect.class.getName(),
        "hibernate.hbm2ddl.auto", "update",
        "hibernate.search.enabled", "false"));
    return factory;
  }

  @Bean
  @Primary
  JpaTransactionManager transactionManager(EntityManagerFactory factory) {
    return new JpaTransactionManager(factory);
  }

  /** For pages in a browser, such as the CDS Hooks Sandbox, which reads the patient and the prefetch by itself. */
  private static CorsConfiguration sharedWith(List<String> origins) {
    CorsConfiguration cors = new CorsConfiguration();
    cors.setAllowedOriginPatterns(origins);
    cors.setAllowedMethods(List.of("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"));
    cors.setAllowedHeaders(List.of("*"));
    cors.setExposedHeaders(List.of("Location", "Content-Location"));
    cors.setAllowPrivateNetwork(true);  // a public page calls a server on this machine
    return cors;
  }

  @Bean
  ServletRegistrationBean<RestfulServer> fhirServlet(
      FhirContext fhir, ResourceProviderFactory resources, IJpaSystemProvider system, IFhirSystemDao<?, ?> dao,
      JpaStorageSettings settings, ISearchParamRegistry parameters, IValidationSupport support,
      DatabaseBackedPagingProvider pages, BulkDataExportProvider bulkData) {
    pages.setDefaultPageSize(Integer.getInteger("hapi.page-size", 10));
    pages.setMaximumPageSize(Integer.getInteger("hapi.largest-page", 50));
    RestfulServer server = new RestfulServer(fhir);
    server.registerProviders(resources.createProviders());
    server.registerProvider(system);  // without it a transaction answers 400
    server.registerProvider(bulkData);
    server.setPagingProvider(pages);
    server.setServerConformanceProvider(
        new JpaCapabilityStatementProvider(server, dao, settings, parameters, support));
    server.setDefaultResponseEncoding(EncodingEnum.JSON);
    String origins = System.getProperty("hapi.origins", "");
    if (!origins.isEmpty()) {
      server.registerInterceptor(new CorsInterceptor(sharedWith(List.of(origins.split(",")))));
    }
    ServletRegistrationBean<RestfulServer> servlet = new ServletRegistrationBean<>(server, "/fhir/*");
    servlet.setLoadOnStartup(1);
    return servlet;
  }
}
